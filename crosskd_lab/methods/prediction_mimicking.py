"""Plain prediction mimicking: the student's own head answers to the teacher, too."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import LabError
from ..heads import HeadAdapter
from ..heads.spaces import best_anchors, nearest_anchors, same_space, to_anchors
from ..losses import REGIONS, giou_distance, kd_quality_focal, region_mean
from ..taps import Taps
from .base import PredictionTerms


class PredictionMimicking(PredictionTerms):
    """Eq. (1): ``(1/|S|) * sum over r of S(r) * D_pred(p^s(r), p^t(r))``.

    Paper: section 3.1 of CrossKD, CVPR 2024, as what CrossKD is held against.

    Idea: the student's own predictions answer to the teacher's and to the annotations at once.

    Needs: equal classes. Ground truth only for |S|. Nothing to train.

    Symbols: r = location; S(r) = region weight; p^s, p^t = the student's and teacher's predictions.

    Carried over: as for :class:`PredictionTerms`.

    The limit i = n of CrossKD (sec. 4.2): the same terms and weights on the student's own
    predictions, whose last layers then serve the annotations and the teacher at once. For heads
    with box distributions the regression term is LD's KL (Zheng et al. 2022) at T = 1.

    Heads of different families or box coding are compared at one anchor a location, as
    :mod:`crosskd_lab.heads.spaces` defines: quality focal loss and 1 - GIoU of decoded boxes, each
    divided by the student's number of positives, weights 1 where none is given.
    """

    name = "kd"

    def attach(self, student: HeadAdapter, teacher: HeadAdapter) -> None:
        """Raise LabError if the heads score other classes, or RoI heads code boxes differently."""
        if student.num_classes != teacher.num_classes:
            raise LabError(
                f"the student's head scores {student.num_classes} classes, the teacher's "
                f"{teacher.num_classes}: plain mimicking compares them one by one; use CrossKD, "
                "which stays in the teacher's classes"
            )
        if student.family != "dense" and not same_space(student, teacher):
            raise LabError(
                f"the two {student.family} heads code boxes differently: give both the same "
                "bbox_coder and reg_class_agnostic, or use CrossKD, which stays in the teacher's"
            )

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_kd_cls`` and ``loss_kd_reg``."""
        if same_space(taps.student_head, taps.teacher_head):
            return self.mimic(taps.student.predictions, taps)
        return self._between_spaces(taps)

    def _between_spaces(self, taps: Taps) -> dict[str, Tensor]:
        """Both terms at the best anchor of every location."""
        metas = list(taps.metas)
        with torch.no_grad():
            logits, boxes = best_anchors(taps.teacher_head, taps.teacher.predictions, metas)
        own_logits, own_boxes = nearest_anchors(
            taps.student_head, taps.student.predictions, metas, boxes
        )
        seen = to_anchors(taps.targets.label_weights, taps.student_head.anchors, 1)
        beta = taps.teacher_head.recipe.beta if self.beta is None else self.beta
        terms = {
            "cls": (kd_quality_focal(own_logits, logits.sigmoid(), beta), seen),
            "reg": (giou_distance(own_boxes, boxes), REGIONS[self.region](logits) * (seen > 0)),
        }
        given = {"cls": self.cls_weight, "reg": self.reg_weight}
        weights = {branch: 1.0 if weight is None else weight for branch, weight in given.items()}
        return {
            f"loss_{self.name}_{branch}": weights[branch]
            * region_mean(*terms[branch], taps.targets.num_pos)
            for branch in self.branches
        }
