"""Main Region imitation (LD, Zheng et al., CVPR 2022): imitate at the assigner's positives."""

from ..heads.base import Levels
from ..taps import Taps
from .imitation import Imitation, positives


class MainRegion(Imitation):
    """``weight * sum over levels of mean over M of (F^s - F^t)^2``, M = positives.

    Paper: Localization Distillation for Dense Object Detection, arXiv 2102.12252; its valuable
    localization region, the positives' neighbourhood, serves :class:`LD`.

    Idea: the head's own assigner already says which locations answer for an object.

    Needs: the student's assigner result; neck features of equal channels. Nothing to train.

    Symbols: M = taps.targets.positive, any of a location's priors, per level (N, H, W);
    F^s, F^t = neck features (N, C, H, W); the mean runs over the batch's positives and channels.

    Carried over: as for :class:`InsideGT`.

    Unverified: the weight. The released code has no such mode; we take 2, as its others have.

    Args:
        weight: See above.
    """

    name = "main_region"

    def masks(self, taps: Taps) -> Levels:
        """Positive locations."""
        return positives(taps)
