"""FGD (Yang et al., CVPR 2022): focal and global distillation of the neck."""

from typing import cast

import torch
from torch import Tensor, nn

from ..heads.base import Levels
from ..taps import Taps
from .adapters import Pointwise, check_maps, matched
from .base import Method


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


def spatial_attention(feature: Tensor, temperature: float) -> Tensor:
    """``HW * softmax over space of (mean over channels of |F|) / T``, ``(N, H, W)``, mean 1."""
    strength = feature.float().abs().mean(1) / temperature  # (N, H, W)
    return strength[0].numel() * strength.flatten(1).softmax(1).view_as(strength)


def channel_attention(feature: Tensor, temperature: float) -> Tensor:
    """``C * softmax over channels of (mean over space of |F|) / T``, ``(N, C)``, mean 1."""
    strength = feature.float().abs().mean((2, 3)) / temperature  # (N, C)
    return strength.size(1) * strength.softmax(1)


def scale_masks(
    boxes: Tensor, size: tuple[int, int], image: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """FGD's masks (Yang et al. 2022): every object, and the background, weighs one in all.

    Of boxes ``(G, 4)``, foreground and background ``(H, W)`` on a map of ``size``, which stands for
    the ``image``'s height and width in pixels. A box's cells, both ends included, hold one over
    their number; where boxes overlap, the smaller object's value stays.
    """
    h, w = size
    scale = boxes.new_tensor([w / image[1], h / image[0]])
    low, high = (boxes[:, :2] * scale).floor(), (boxes[:, 2:] * scale).ceil()
    columns, rows = (torch.arange(n, device=boxes.device)[None] for n in (w, h))
    across = (columns >= low[:, :1]) & (columns <= high[:, :1])  # (G, W)
    down = (rows >= low[:, 1:]) & (rows <= high[:, 1:])  # (G, H)
    inside = down[:, :, None] & across[:, None]  # (G, H, W)
    foreground = boxes.new_zeros(h, w)
    if len(boxes):
        cells = (high - low + 1).clamp(min=1).prod(1)  # (G,)
        foreground = (inside / cells[:, None, None]).amax(0)
    background = (~inside.any(0)).to(boxes.dtype)
    return foreground, background / background.sum().clamp(min=1)


class GcBlock(nn.Module):
    """Global context block (Cao et al. 2019) as FGD has it, the identity before training.

    ``G(F) = F + V relu(LN(U sum over j of softmax_j(K F) F_j))``, K, U, V 1x1 convs, bottleneck
    C / 2. V starts at zero.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.key = nn.Conv2d(channels, 1, 1)
        narrow = max(channels // 2, 1)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, narrow, 1),
            nn.LayerNorm([narrow, 1, 1]),
            nn.ReLU(),
            nn.Conv2d(narrow, channels, 1),
        )
        nn.init.kaiming_normal_(self.key.weight, mode="fan_in")
        last = cast(nn.Conv2d, self.transform[3])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(cast(Tensor, last.bias))

    def forward(self, feature: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape, float32."""
        feature = feature.float()
        share = self.key(feature).flatten(2).float().softmax(-1)  # (N, 1, HW)
        context = torch.einsum("nij,ncj->nci", share, feature.flatten(2))[..., None]
        return feature + self.transform(context)
