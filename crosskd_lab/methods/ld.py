"""LD (Zheng et al., CVPR 2022): box-edge distributions imitate, on positives and around them."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from ..errors import LabError, one_of
from ..heads.base import Levels
from ..losses import distribution_kl
from ..taps import Taps
from .base import Method, split_levels

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
        area: See :func:`diou`.
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


def valuable_region(
    priors: Tensor, boxes: Tensor, counts: Sequence[int], area: str = "union"
) -> Tensor:
    """Valuable localization region (LD, Zheng et al. 2022): next to positives, but none.

    A prior ``(P, 4)`` belongs to it where ``0.25 * alpha_pos <= DIoU < alpha_pos`` for any box
    ``(G, 4)``. ``(P,)`` is the largest IoU with a box that claims the prior; 0 outside the region.
    For ``counts`` and ``area`` see :func:`atss_threshold` and :func:`diou`.
    """
    if not len(boxes) or not len(priors):
        return priors.new_zeros(len(priors))
    overlaps = bbox_overlaps(priors, boxes)  # (P, G)
    threshold = atss_threshold(overlaps, priors, boxes, counts)  # (G,)
    closeness = diou(priors, boxes, area)  # (P, G)
    claimed = (closeness >= 0.25 * threshold) & (closeness < threshold)
    return (overlaps * claimed).amax(1)


def atss_threshold(
    overlaps: Tensor, priors: Tensor, boxes: Tensor, counts: Sequence[int], topk: int = 9
) -> Tensor:
    """ATSS's own threshold alpha_pos ``(G,)``: mean + deviation of its candidates' IoU ``(P, G)``.

    Candidates are the ``topk`` priors ``(P, 4)`` a level (of ``counts``) nearest to a box ``(G,
    4)`` by centre.
    """
    distance = torch.cdist(
        centres(priors), centres(boxes), compute_mode="donot_use_mm_for_euclid_dist"
    )
    nearest = [
        near.topk(min(topk, len(near)), dim=0, largest=False).indices + sum(counts[:level])
        for level, near in enumerate(distance.split(list(counts)))
    ]
    candidates = overlaps.gather(0, torch.cat(nearest))  # (C, G)
    return candidates.mean(0) + candidates.std(0)


def diou(priors: Tensor, boxes: Tensor, area: str = "union") -> Tensor:
    """Distance-IoU ``(P, G)``: IoU less squared centre distance over squared hull diagonal.

    Of priors ``(P, 4)`` and boxes ``(G, 4)``; ``area`` is what divides the intersection: "union",
    or "prior" as in LD's released code.
    """
    overlap = bbox_overlaps(priors, boxes, mode={"union": "iou", "prior": "iof"}[area])  # (P, G)
    apart = (centres(priors)[:, None] - centres(boxes)).square().sum(-1)  # (P, G)
    hull = torch.maximum(priors[:, None, 2:], boxes[:, 2:]) - torch.minimum(
        priors[:, None, :2], boxes[:, :2]
    )
    return overlap - apart / hull.square().sum(-1).clamp(min=1e-6)


def centres(boxes: Tensor) -> Tensor:
    """Centres ``(P, 2)`` of boxes ``(P, 4)``."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2
