"""PKD (Cao et al., NeurIPS 2022): features imitate up to an affine map of each channel."""

import torch
from torch import Tensor

from ..errors import LabError, one_of
from ..heads.base import BRANCHES, HeadFamily
from ..losses import pearson_distance
from ..taps import Taps
from .base import Method, levels_of


class PKD(Method):
    """``weight * sum over levels of mean over channels of (1 - r) (n - 1) / n``, r Pearson's.

    Paper: PKD: General Distillation Framework for Object Detectors via Pearson Correlation
    Coefficient, arXiv 2207.02039.

    Idea: standardise every channel before comparing, so that differences of magnitude between
    levels, channels and detectors stop mattering; the loss depends on correlation alone.

    Needs: features of equal channels. No ground truth. Nothing to train.

    Symbols: r = correlation of a channel of F^s with that of F^t over batch and space, n = N H W
    values; F^s, F^t = maps (N, C, H, W) at ``where``; the formula is ``losses.pearson_distance``.

    Carried over: 6 belongs to two images a process, K = 80 and 12 epochs. r is that of all images
    together, and the same of them twice but for the factor (n - 1) / n; no class enters.

    Unverified: the weight behind Table 5's 43.3 alone; 6 belongs to CrossKD with PKD on GFL (2 on
    RetinaNet and FCOS, 1 on ATSS). That combination takes every level, PKD in mmrazor the first
    four.

    Args:
        weight: None takes the teacher head's defaults, the authors' weight beside CrossKD.
        where: One place to imitate or several of "neck", "cls", "reg" (Tab. 2 tries neck, cls,
            reg, cls + reg).
        i: Layer of the tower for "cls" and "reg".
    """

    families = ("dense", "roi", "decoder")
    fixed_shapes = True

    def __init__(
        self, weight: float | None = None, where: str | tuple[str, ...] = "neck", i: int = 3
    ) -> None:
        super().__init__()
        self.weight, self.i = weight, i
        self.where = (where,) if isinstance(where, str) else tuple(where)
        if not self.where:
            raise LabError("PKD: where names no place: give some of neck, cls, reg")
        for place in self.where:
            one_of("where", place, ("neck", *BRANCHES))

    def attach(self, student: HeadFamily, teacher: HeadFamily) -> None:
        """LabError for a tower that the heads have not, or a layer beyond its last."""
        if self.where == ("neck",):
            return
        for head in (student, teacher):
            if head.family == "decoder":
                raise LabError("PKD in the head is for heads with towers: say where='neck'")
            head.check_layer(self.i)

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_pkd_<place>`` for each place."""
        weight = taps.teacher_head.defaults.neck_weight if self.weight is None else self.weight
        losses = {}
        for place in self.where:
            pairs = zip(*levels_of(taps, place, self.i), strict=True)
            distances = [pearson_distance(student, teacher) for student, teacher in pairs]
            losses[f"loss_pkd_{place}"] = weight * torch.stack(distances).sum()
        return losses
