"""FitNets (Romero et al., ICLR 2015): every location of the neck imitates the teacher's."""

import torch
from torch import Tensor

from ..heads.base import Levels
from ..taps import Taps
from .adapters import Pointwise, matched
from .base import Method
from .imitation import masked_error


class FitNets(Method):
    """``weight * sum over levels of mean of (phi(F^s) - F^t)^2``.

    Paper: FitNets: Hints for Thin Deep Nets, arXiv 1412.6550; the detection form is the row of
    that name in LD (Zheng et al., CVPR 2022, arXiv 2102.12252).

    Idea: no region and no weighting; the whole feature pyramid is a hint.

    Needs: neck features of equal channels, or an adapter. No ground truth.

    Symbols: F^s, F^t = taps.student.neck, taps.teacher.neck, per level (N, C, H, W);
    phi = self.adapter, the identity by default.

    Carried over: LD's weight belongs to two images a process, K = 80 and 12 epochs. Each level is a
    mean over all images, the same in any batch, and no class enters.

    Unverified: that weight 2, the default of LD's code for all its imitation terms, made the
    published number; LD's released switch of this name imitates inside boxes instead. We follow
    the definition. Each level is averaged by itself, so that coarse levels weigh as much as fine.

    Args:
        weight: 2 for GFL; HEAD (Wang et al., ECCV 2022) takes 1 for RetinaNet.
        channels: (student's, teacher's) channels for a 1x1 conv a level; None compares directly.
        levels: Pyramid levels of the adapter.
    """

    fixed_shapes = True

    def __init__(
        self, weight: float = 2.0, channels: tuple[int, int] | None = None, levels: int = 5
    ) -> None:
        super().__init__()
        self.weight = weight
        self.adapter = Pointwise(*channels, levels) if channels else None

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_fitnets``, a scalar; LabError if channels do not fit."""
        student: Levels = taps.student.neck
        if self.adapter is not None:
            student = self.adapter(student)
        remedy = "set channels=(student's, teacher's) for an adapter"
        pairs = matched(student, taps.teacher.neck, remedy)
        terms = [masked_error(s, t, torch.ones_like(s[:, 0])) for s, t in pairs]
        return {"loss_fitnets": self.weight * torch.stack(terms).sum()}
