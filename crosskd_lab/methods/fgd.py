"""FGD (Yang et al., CVPR 2022): focal and global distillation of the neck."""

import torch
from torch import Tensor, nn

from ..heads.base import Levels
from ..taps import Taps
from .adapters import GcBlock, Pointwise, check_maps, matched
from .base import Method
from .imitation import channel_attention, spatial_attention
from .regions import scale_masks


class FGD(Method):
    """``alpha * L_fg + beta * L_bg + gamma * L_att + lambda * L_glob``, summed over levels.

    Paper: Focal and Global Knowledge Distillation for Detectors, arXiv 2111.11837.

    Idea: weight feature errors by the teacher's attention, by object size and by foreground or
    background; and match features that a global context block has enhanced::

        L_fg   = sum of M_fg A^S A^C (F^s - F^t)^2        L_bg alike with M_bg
        L_att  = sum |A^S_s - A^S_t| + sum |A^C_s - A^C_t|
        L_glob = sum of (G_s(F^s) - G_t(F^t))^2           all divided by N

    Needs: ground truth boxes; neck features, with an adapter where channels differ. Trains two
    blocks G a level (and the adapter), which are gone after training.

    Symbols: M_fg, M_bg = scale_masks, (N, H, W); A^S = spatial_attention, (N, H, W), A^C =
    channel_attention, (N, C), both the teacher's in L_fg and L_bg; G_s, G_t = student_context,
    teacher_context; lambda = context; F^s, F^t = neck features (N, C, H, W).

    Carried over: the weights belong to K = 80, 256 channels, COCO's image sizes and a gradient clip
    of 35; for which batch is not known to us. Division by N makes them those of any batch, and no
    class enters. The sums over channels, and in L_att and L_glob over cells, are as published: 64
    channels and small images make the terms lighter.

    Unverified: Table 5's 41.3 against the authors' 43.5; the latter also copies the teacher's
    neck and head into the student, which we never do. ATSS has no config; take GFL's values.
    Boxes are scaled by the unpadded image as in the authors' code, which misplaces them in padded
    batches; padded=True corrects it. Identical features give 0 only before the blocks train.

    Args:
        channels: The teacher's neck channels.
        student_channels: The student's; None for the same.
        levels: Pyramid levels.
        temperature: T, 0.5; FCOS 0.8.
        alpha: 1e-3; FCOS 1.6e-3.
        beta: 5e-4; FCOS 8e-4.
        gamma: 5e-4; FCOS 8e-4.
        context: 5e-6; FCOS 8e-6.
        padded: See above.
    """

    def __init__(
        self,
        channels: int = 256,
        student_channels: int | None = None,
        levels: int = 5,
        temperature: float = 0.5,
        alpha: float = 1e-3,
        beta: float = 5e-4,
        gamma: float = 5e-4,
        context: float = 5e-6,
        padded: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.levels, self.temperature = channels, levels, temperature
        self.weights, self.padded = (alpha, beta, gamma, context), padded
        own = student_channels or channels
        self.adapter = Pointwise(own, channels, levels) if own != channels else None
        self.student_context = nn.ModuleList(GcBlock(channels) for _ in range(levels))
        self.teacher_context = nn.ModuleList(GcBlock(channels) for _ in range(levels))

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_fgd_fg``, ``_bg``, ``_att`` and ``_glob``; LabError if channels do not fit."""
        student: Levels = taps.student.neck
        if self.adapter is not None:
            student = self.adapter(student)
        check_maps(taps.teacher.neck, self.levels, self.channels, "the teacher's neck")
        remedy = "set channels=<teacher's> and student_channels=<student's>"
        pairs = matched(student, taps.teacher.neck, remedy)
        terms = torch.stack([self._level(i, s, t, taps) for i, (s, t) in enumerate(pairs)]).sum(0)
        names = ("fg", "bg", "att", "glob")
        parts = zip(names, self.weights, terms, strict=True)
        return {f"loss_fgd_{name}": weight * term for name, weight, term in parts}

    def _level(self, level: int, student: Tensor, teacher: Tensor, taps: Taps) -> Tensor:
        """L_fg, L_bg, L_att and L_glob of one level, ``(4,)``."""
        ours, theirs = (
            (spatial_attention(f, self.temperature), channel_attention(f, self.temperature))
            for f in (student, teacher)
        )
        # A product and a sum: as a matrix product autocast would let it overflow in half precision.
        apart = (student - teacher).float().square() * theirs[1][..., None, None]  # (N, C, H, W)
        error = apart.sum(1) * theirs[0]  # (N, H, W)
        foreground, background = self._masks(taps, student)  # (N, H, W) each
        attention = (ours[0] - theirs[0]).abs().sum() + (ours[1] - theirs[1]).abs().sum()  # ()
        context = self.student_context[level](student) - self.teacher_context[level](teacher)
        focal = [(error * foreground).sum(), (error * background).sum()]
        return torch.stack([*focal, attention, context.square().sum()]) / len(student)

    def _masks(self, taps: Taps, level: Tensor) -> tuple[Tensor, Tensor]:
        """M_fg and M_bg of one level, ``(N, H, W)`` each."""
        key = "batch_input_shape" if self.padded else "img_shape"
        size = (level.shape[-2], level.shape[-1])
        images = zip(taps.gt_instances, taps.metas, strict=True)
        masks = [scale_masks(gt.bboxes, size, meta[key][:2]) for gt, meta in images]
        foreground, background = zip(*masks, strict=True)
        return torch.stack(foreground), torch.stack(background)

    @torch.no_grad()
    def region_map(self, taps: Taps) -> Levels:
        """``(alpha M_fg + beta M_bg) A^S`` with the teacher's attention, ``(N, H, W)`` a level."""
        maps = []
        for feature in taps.teacher.neck:
            foreground, background = self._masks(taps, feature)
            focal = self.weights[0] * foreground + self.weights[1] * background  # (N, H, W)
            maps.append(focal * spatial_attention(feature, self.temperature))
        return tuple(maps)
