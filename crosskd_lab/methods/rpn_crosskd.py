"""CrossKD on the proposals of a two-stage detector."""

from typing import Any

import torch
from torch import Tensor

from ..heads.roi import RoITaps
from ..taps import Taps
from .crosskd import CrossKD


class RPNCrossKD(CrossKD):
    """Eq. (2) on the region proposal network: ``(1/|S|) * sum of S(r) * D_pred(p_hat^s, p^t)``.

    Paper: none describes it; the authors distil no proposals. It is CrossKD's own idea applied to
    the dense head that a two-stage detector begins with, and optional beside :class:`CrossKD` on
    the RoI head.

    Idea: the student's RPN features go through the teacher's RPN from layer i on: one class
    ("object"), nine or three anchors a location, boxes by GIoU as for RetinaNet.

    Needs: two-stage detectors whose RPNs have equal strides, anchors and channels. Ground truth
    only for |S|, from the student's RPN assigner. Nothing to train but a learned alignment.

    Symbols: r = anchor; S(r) = region weight; p_hat^s = cross-head predictions, what the teacher's
    RPN says of the student's features, ``(N, A, H_l, W_l)`` a level for the class; p^t = what it
    says of its own.

    Carried over: nothing, for nobody has published a weight.

    Args:
        i: 0, the neck feature, or 1, after the hidden conv.
        terms: See :class:`CrossKD`.
    """

    name = "crosskd_rpn"
    families = ("roi",)

    def __init__(self, i: int = 0, **terms: Any) -> None:
        super().__init__(i, **terms)

    def attach(self, student: Any, teacher: Any) -> None:
        """Attach to both region proposal networks."""
        self.heads = student.rpn, teacher.rpn
        super().attach(*self.heads)

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_crosskd_rpn_cls`` and ``loss_crosskd_rpn_reg``."""
        assert isinstance(taps.student, RoITaps)
        ours, theirs = self.heads
        student = ours.forward_towers(taps.student.neck)
        with torch.no_grad():
            teacher = theirs.forward_towers(taps.teacher.neck)
        metas = list(taps.metas)
        targets = ours.read_targets(taps.student.proposed, student.predictions, metas)
        return super().losses(
            Taps(student, teacher, targets, ours, theirs, taps.gt_instances, metas)
        )
