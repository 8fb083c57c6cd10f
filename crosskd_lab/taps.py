"""All that a distillation method may look at, collected once a step and frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmdet.models.utils import unpack_gt_instances
from torch import Tensor

from .cross_head import Align, cross_head, delivered_layer
from .heads.base import BRANCHES, HeadTaps, Predictions, Targets
from .heads.dense import HeadAdapter
from .pair import Pair


@dataclass(frozen=True)
class Taps:
    """One batch as both detectors see it.

    Attributes:
        student: The student's tensors; gradient flows.
        teacher: The teacher's tensors; no gradient.
        targets: What the student's assigner decided (the assigner runs once a step).
        student_head: Adapter that reads the student's predictions.
        teacher_head: Adapter that reads the teacher's and the cross-head predictions.
        gt_instances: Per image, ``bboxes`` ``(G, 4)`` xyxy input pixels and ``labels`` ``(G,)``.
        metas: Per image, mmdet's meta information.
        ignored: Per image None or ``bboxes`` that the annotations say to leave out (crowds).
    """

    student: HeadTaps
    teacher: HeadTaps
    targets: Targets
    student_head: HeadAdapter
    teacher_head: HeadAdapter
    gt_instances: list[Any]
    metas: list[dict]
    ignored: list[Any] | None = None

    def cross(
        self,
        i: int,
        align: str | Align | Mapping[str, Align] | None = None,
        branches: Sequence[str] = BRANCHES,
    ) -> Predictions:
        """p_hat^s from f_i^s ``(N, C, H, W)`` (eq. 2); see :mod:`crosskd_lab.cross_head`."""
        own = delivered_layer(self.student_head, self.teacher_head, i)
        align = self.teacher_head.defaults.align if align is None else align
        return cross_head(
            self.teacher_head, self.student.towers, self.teacher.towers, i, align, branches, own
        )


def collect(
    pair: Pair, inputs: Tensor, data_samples: list[Any], tap: str = "post_relu"
) -> tuple[Taps, dict[str, Any]]:
    """Run both detectors on ``(N, 3, H, W)``, normalised as both were trained.

    ``tap`` says where f_i is read, see :meth:`HeadAdapter.forward_towers`. With the taps come the
    student's own detection losses from the head's own ``loss_by_feat``.
    """
    gt_instances, ignored, metas = unpack_gt_instances(data_samples)
    ours, theirs = pair.student_head, pair.teacher_head
    student, losses, targets = ours.student_step(pair.student, inputs, data_samples, tap)
    teacher = pair.teacher_step(inputs, data_samples, tap, student)
    return Taps(student, teacher, targets, ours, theirs, gt_instances, metas, ignored), losses
