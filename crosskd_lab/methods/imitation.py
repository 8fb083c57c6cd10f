"""What feature imitation methods share: squared differences in a region, level by level."""

import torch
from torch import Tensor

from ..errors import one_of
from ..heads.base import Levels
from ..taps import Taps
from .adapters import matched
from .base import Method
from .regions import split_levels, valuable_region

SCOPES = {"sample": (1, 2, 3), "channel": (2, 3), "map": (0, 1, 2, 3)}


def min_max(feature: Tensor, scope: str = "sample", eps: float = 1e-6) -> Tensor:
    """Stretch ``(N, C, H, W)`` to [0, 1]; maps whose range is below ``eps`` become 0.

    ``scope`` is over what the extremes are taken: each "sample" with all its channels, each
    "channel" of a sample, or the whole "map" with all samples; LabError for another.
    """
    one_of("scope", scope, SCOPES)
    feature, over = feature.float(), SCOPES[scope]
    low, high = feature.amin(over, keepdim=True), feature.amax(over, keepdim=True)
    return (feature - low) / (high - low).clamp(min=eps)


def spatial_attention(feature: Tensor, temperature: float) -> Tensor:
    """``HW * softmax over space of (mean over channels of |F|) / T``, ``(N, H, W)``, mean 1."""
    strength = feature.float().abs().mean(1) / temperature  # (N, H, W)
    return strength[0].numel() * strength.flatten(1).softmax(1).view_as(strength)


def channel_attention(feature: Tensor, temperature: float) -> Tensor:
    """``C * softmax over channels of (mean over space of |F|) / T``, ``(N, C)``, mean 1."""
    strength = feature.float().abs().mean((2, 3)) / temperature  # (N, C)
    return strength.size(1) * strength.softmax(1)


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


@torch.no_grad()
def around_positives(taps: Taps, area: str = "union") -> Tensor:
    """LD's valuable localization region on the student's anchors inside the image, ``(N, P)``.

    IoU with the nearest object in the region, 0 outside; see :func:`valuable_region`.
    """
    priors = taps.student_head.priors(taps.student.neck)  # (P, 4)
    valid = taps.targets.label_weights > 0  # (N, P)
    around = priors.new_zeros(valid.shape)
    per_level = split_levels(valid, taps.student.neck)
    for image, gt in enumerate(taps.gt_instances):
        counts = [int(level[image].sum()) for level in per_level]
        inside = priors[valid[image]]  # (V, 4): the V valid ones
        around[image, valid[image]] = valuable_region(inside, gt.bboxes, counts, area)
    return around


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
