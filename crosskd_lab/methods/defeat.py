"""DeFeat (Guo et al., CVPR 2021): background imitates too, but on its own terms."""

import torch
from torch import Tensor

from ..heads.base import Levels
from ..taps import Taps
from .imitation import Imitation, masked_error
from .inside_gt import inside_gt


class DeFeat(Imitation):
    """``weight * sum over levels of (a * mean over M + b * mean over not M of (F^s - F^t)^2)``.

    Paper: Distilling Object Detectors via Decoupled Features, arXiv 2103.14475. Table 5's number
    belongs to LD's dense variant (arXiv 2102.12252), which is the default here.

    Idea: background features help as well, but averaged with the foreground they drown it; so
    each gets a mean and a weight of its own.

    Needs: ground truth boxes; neck features of equal channels. Nothing to train.

    Symbols: M = inside any box, per level (N, H, W); a = foreground, b = background;
    F^s, F^t = neck features (N, C, H, W).

    Carried over: as for :class:`InsideGT`, each of the two means by itself.

    Unverified: LD's released line takes the student's background and the teacher's foreground,
    which cannot be what was run; both are background here. The original halves each mean, gives
    every box to one level by its size, adds 3x3 convs, and has terms on proposals; none of it is
    part of the dense variant.

    Args:
        weight: 2 in LD's code.
        foreground: a.
        background: b; 2 in LD's code.
    """

    name = "defeat"

    def __init__(
        self, weight: float = 2.0, foreground: float = 1.0, background: float = 2.0
    ) -> None:
        super().__init__(weight)
        self.foreground, self.background = foreground, background

    def masks(self, taps: Taps) -> Levels:
        """The foreground, see :func:`crosskd_lab.methods.inside_gt.inside_gt`."""
        return inside_gt(taps)

    def level_loss(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        """Both means of one level with their weights."""
        inside = masked_error(student, teacher, mask)
        outside = masked_error(student, teacher, ~mask)
        return self.foreground * inside + self.background * outside

    @torch.no_grad()
    def region_map(self, taps: Taps) -> Levels:
        """a on the foreground and b on the background of levels that take part."""
        levels = zip(self.masks(taps), self._active(taps), strict=True)
        return tuple(
            active * (self.foreground * mask + self.background * ~mask) for mask, active in levels
        )
