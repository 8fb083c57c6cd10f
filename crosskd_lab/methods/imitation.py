"""What feature imitation methods share: squared differences in a region, level by level."""

import torch
from torch import Tensor

from ..heads.base import Levels
from ..taps import Taps
from .adapters import matched
from .base import Method, split_levels

SAME_CHANNELS = "give both necks the same out_channels, or use a method with an adapter"


def masked_error(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """``1/C * sum of M (F^s - F^t)^2 / max(1, |M|)``, a scalar, of maps ``(N, C, H, W)``.

    M ``(N, H, W)`` bool: locations of all images are pooled, an empty mask gives 0.
    """
    error = (student - teacher).square().sum(1)  # (N, H, W)
    return 1 / student.size(1) * (error * mask).sum() / mask.sum().clamp(min=1)


def positives(taps: Taps) -> Levels:
    """Locations that the student's assigner gave to an object, ``(N, H_l, W_l)`` bool a level."""
    split = split_levels(taps.targets.positive, taps.student.neck)  # (N, H_l, W_l, A) a level
    return tuple(level.any(-1) for level in split)


class Imitation(Method):
    """``weight * sum over levels of the mean over the region of (F^s - F^t)^2``.

    Subclasses say where: they define :meth:`masks`.

    Args:
        weight: 2 in LD's code (Zheng et al. 2022), from which Table 5's rows come.
    """

    name = "imitation"
    needs_positives = True  # LD's code: a level without a positive imitates nothing

    def __init__(self, weight: float = 2.0) -> None:
        super().__init__()
        self.weight = weight

    def masks(self, taps: Taps) -> Levels:
        """The region, ``(N, H_l, W_l)`` bool a level."""
        raise NotImplementedError

    @torch.no_grad()
    def region_map(self, taps: Taps) -> Levels:
        """1 where the method imitates, ``(N, H_l, W_l)`` a level."""
        kept = zip(self.masks(taps), self._active(taps), strict=True)
        return tuple((mask & active).float() for mask, active in kept)

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_<name>``, a scalar; LabError if the necks differ in channels."""
        pairs = matched(taps.student.neck, taps.teacher.neck, SAME_CHANNELS)
        terms = [
            active * self.level_loss(student, teacher, mask)
            for (student, teacher), mask, active in zip(
                pairs, self.masks(taps), self._active(taps), strict=True
            )
        ]
        return {f"loss_{self.name}": self.weight * torch.stack(terms).sum()}

    def level_loss(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        """One level's term before the weight."""
        return masked_error(student, teacher, mask)

    def _active(self, taps: Taps) -> list[Tensor]:
        """Whether each level takes part, 0-d bool."""
        return [level.any() | (not self.needs_positives) for level in positives(taps)]
