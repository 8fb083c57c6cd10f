"""LD (Zheng et al., CVPR 2022): box-edge distributions imitate, on positives and around them."""

from typing import Any, cast

import torch
from torch import Tensor

from ..errors import LabError, one_of
from ..heads.base import Levels
from ..losses import distribution_kl
from ..taps import Taps
from .base import Method
from .imitation import around_positives
from .regions import split_levels

IMAGES, CLASSES = 2, 80
"""Batch of one process and K of COCO, to which the published weights belong."""


class LD(Method):
    """Localization distillation on main region and VLR, with class distillation added.

    Paper: Localization Distillation for Dense Object Detection, arXiv 2102.12252.

    Idea: soften each edge's distribution over bins by T and match it, where the assigner is
    positive, and in the valuable localization region (VLR) next to it::

        L_main = box/4  * 2/N * sum over positives of w  * sum over edges of T^2/B KL(b^t || b^s)
        L_vlr  = vlr/16 * 2/N * sum over the VLR of IoU  * sum over edges of T^2/B KL(b^t || b^s)
        L_cls  = cls * sum over levels of mean over positives of T_c^2/80 KL(z^t || z^s)

    Needs: heads that predict box distributions with one reg_max (GFL); the student's assigner
    result, anchors and ground truth boxes. Nothing to train.

    Symbols: w = main_weight; b = edge_bins, (N, P, 4, B); z = flat_cls, (N, P, K); T, T_c =
    temperature, cls_temperature; VLR = around_positives, (N, P) of IoU; N = images of the batch.

    Carried over: the authors' weights belong to two images a process, K = 80 and 12 epochs. Their
    code divides the box terms by nothing, so that they grow with the batch: hence 2/N, which
    is 1 there. It takes the mean over the K bins of the class term, so that ten classes would make
    it eight times as heavy: hence 80 for any K. B = 17 is the heads' own here as there.

    Unverified: Table 5's 43.0 (the authors report 42.1 for this recipe). The released DIoU divides
    by the anchor's area (area="prior"), the definition and we by the union.

    Args:
        box: Weight of the main region.
        vlr: Weight of the VLR; 0 leaves it out.
        cls: Weight of the class term; 0 leaves it out.
        temperature: T.
        cls_temperature: T_c.
        area: See :func:`crosskd_lab.methods.regions.diou`.
    """

    def __init__(
        self,
        box: float = 0.25,
        vlr: float = 0.25,
        cls: float = 10.0,
        temperature: float = 10.0,
        cls_temperature: float = 2.0,
        area: str = "union",
    ) -> None:
        super().__init__()
        one_of("area", area, ("union", "prior"))
        self.box, self.vlr, self.cls = box, vlr, cls
        self.temperature, self.cls_temperature = temperature, cls_temperature
        self.area = area

    def attach(self, student: Any, teacher: Any) -> None:
        """Raise LabError for heads without box distributions."""
        for head, whose in ((student, "student"), (teacher, "teacher")):
            if not hasattr(head, "edge_bins"):
                raise LabError(
                    f"LD needs box distributions, and the {whose}'s {type(head.head).__name__} "
                    "predicts plain boxes: use GFL on both sides, or another method"
                )

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_ld_main``, and ``_vlr`` and ``_cls`` unless of weight 0; LabError as above."""
        ours, theirs = taps.student_head, taps.teacher_head
        self.attach(ours, theirs)
        student = cast(Any, ours).edge_bins(taps.student.predictions.reg)  # (N, P, 4, B)
        teacher = cast(Any, theirs).edge_bins(taps.teacher.predictions.reg)  # (N, P, 4, B)
        main, around = self._weights(taps)
        losses = {"loss_ld_main": self._edges(student, teacher, main)}
        if self.vlr:
            losses["loss_ld_vlr"] = self._edges(student, teacher, around)
        if self.cls:
            losses["loss_ld_cls"] = self.cls * self._classes(taps)
        return losses

    def _edges(self, student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
        """``sum of weight * sum over edges of T^2/B KL`` where the weight is not zero."""
        at = weight > 0  # (N, P)
        distance = distribution_kl(student[at], teacher[at], self.temperature).sum(-1)
        return (weight[at] * distance).sum() * IMAGES / (len(student) * student.size(-1))

    def _classes(self, taps: Taps) -> Tensor:
        """``sum over levels of mean over positives of T_c^2/80 KL`` over the classes."""
        z = taps.student_head.flat_cls(taps.student.predictions)  # (N, P, K)
        t = taps.teacher_head.flat_cls(taps.teacher.predictions)  # (N, P, K)
        positive = taps.targets.positive  # (N, P)
        split = split_levels(positive, taps.student.neck)
        counts = torch.cat([level.sum().expand(level[0].numel()) for level in split])  # (P,)
        share = 1 / counts.clamp(min=1).expand_as(positive)[positive]
        distance = distribution_kl(z[positive], t[positive], self.cls_temperature)
        return (share * distance).sum() / CLASSES

    @torch.no_grad()
    def region_map(self, taps: Taps) -> Levels:
        """``box/4 w`` on positives plus ``vlr/16 IoU`` in the VLR, ``(N, H_l, W_l)`` a level."""
        main, around = self._weights(taps)
        return tuple(level.amax(-1) for level in split_levels(main + around, taps.student.neck))

    def _weights(self, taps: Taps) -> tuple[Tensor, Tensor]:
        """What each prior weighs in L_main and L_vlr, ``(N, P)`` each, the factor 2/N left out."""
        around = around_positives(taps, self.area)
        return self.box / 4 * main_weight(taps), self.vlr / 16 * around


def main_weight(taps: Taps) -> Tensor:
    """w ``(N, P)``: the student's best score at positives, 0 elsewhere, detached."""
    logits = taps.student_head.flat_cls(taps.student.predictions).detach().float()
    return logits.sigmoid().amax(-1) * taps.targets.positive
