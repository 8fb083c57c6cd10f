"""Sec. 3.1: where the assigner's target and the teacher's probability contradict each other.

A *location* is a cell of a pyramid level. Heads with several priors a location (RetinaNet: 9) are
reduced to locations by the maximum over priors, on either side, so that any student can be held
against any teacher.

A head that scores localisation quality (GFL) has no target without boxes: its soft label is the IoU
of the *student's* box with its object. Measured before training there is no such box. ``boxes``
says whose boxes stand in:

    "teacher"  the teacher's box at the location: the label of a student that locates as well as
               its teacher, so that what is left is conflict about classes and quality (default);
    "student"  the student's own: the very label that training would use now;
    "exact"    the ground truth's: quality 1, the assigner's one-hot label.

For focal-loss heads all three are the one-hot label.

Assigners that look at predictions (those of DDOD, PAA, RTMDet and TOOD) have no targets before
training; for them ``boxes`` must be "student".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from ..errors import LabError
from ..heads import HeadAdapter, Predictions, Targets, adapter_for
from ..pair import Pair
from .assignment import assigned, blank_predictions, refuse_dynamic
from .maps import View, by_location, level_sizes, pixels, score_map, scores_of

BOXES = ("teacher", "student", "exact")


@dataclass(frozen=True)
class Conflict:
    """One batch at R locations an image, finest level first, K classes.

    Attributes:
        target: ``(N, R, K)`` p^gt in [0, 1].
        teacher: ``(N, R, K)`` the teacher's class probability.
        label: ``(N, R)`` class of the assigned object, K for background.
        area: ``(N, R)`` area of the assigned box in pixels² of the original image; 0: background.
        counted: ``(N, R)`` bool, False outside the image and where the assigner ignores.
        level: ``(R,)`` index of the pyramid level.
    """

    target: Tensor
    teacher: Tensor
    label: Tensor
    area: Tensor
    counted: Tensor
    level: Tensor

    @property
    def positive(self) -> Tensor:
        """``(N, R)`` bool: locations that the assigner gave to an object."""
        return (self.label < self.target.size(-1)) & self.counted

    @property
    def discrepancy(self) -> tuple[Tensor, Tensor]:
        """Sec. 3.1's max over classes of |p^gt - p^t|, and the class where it is: ``(N, R)``."""
        most = (self.target - self.teacher).abs().max(-1)
        return most.values, most.indices

    def apart(self, threshold: float) -> Tensor:
        """``(N, R)`` bool: counted locations with discrepancy > threshold."""
        return (self.discrepancy[0] > threshold) & self.counted


def conflict_ratio(conflict: Conflict, threshold: float) -> float:
    """Fig. 3: locations with discrepancy > threshold, over positive locations (at least 1)."""
    return float(conflict.apart(threshold).sum() / conflict.positive.sum().clamp(min=1))


@torch.no_grad()
def find_conflict(
    pair: Pair, inputs: Tensor, data_samples: Sequence[Any], boxes: str = "teacher"
) -> Conflict:
    """Hold the student's assigner against the teacher on a batch.

    The student's network runs only for ``boxes="student"``; otherwise its untrained weights have no
    say in the result. Both detectors must be in evaluation mode.

    Args:
        pair: Student and teacher.
        inputs: ``(N, 3, H, W)``, normalised.
        data_samples: mmdet's samples with ground truth in input pixels.
        boxes: "teacher", "student" or "exact", see above.

    Raises:
        LabError: for another word, or for an assigner that needs boxes="student".
    """
    if boxes not in BOXES:
        raise LabError(f"boxes = {boxes!r} is unknown: choose one of {', '.join(BOXES)}")
    if boxes != "student":
        refuse_dynamic(pair.student_head)
    truths, ignored, metas = unpack_gt_instances(data_samples)
    teacher = pair.teacher_head.walk(pair.teacher.extract_feat(inputs)).predictions
    if boxes == "student":
        student = pair.student_head.walk(pair.student.extract_feat(inputs)).predictions
    else:
        student = blank_predictions(pair.student_head, teacher.cls)
    targets = assigned(pair.student_head, student, truths, metas, ignored)
    target = _target(pair, student, teacher, targets, metas, boxes)
    return locate(pair.teacher_head, target, teacher, targets, metas)


def locate(
    teacher_head: HeadAdapter,
    target: Tensor,
    teacher: Predictions,
    targets: Targets,
    metas: Sequence[dict],
) -> Conflict:
    """Reduce both sides to locations.

    Args:
        teacher_head: Reads the teacher's predictions.
        target: ``(N, P, K)`` p^gt at the student's priors.
        teacher: The teacher's predictions.
        targets: What the student's assigner decided.
        metas: Per image, ``scale_factor`` (x, y) from original to input pixels.
    """
    levels = teacher.cls
    scores = scores_of(teacher_head, teacher)
    labels = torch.where(targets.positive, targets.labels, targets.num_classes)
    label, first = by_location(labels, levels).min(-1)  # background is the highest label
    boxes = by_location(targets.boxes, levels)
    boxes = boxes.take_along_dim(first[..., None, None], 2).squeeze(2)
    shrunk = boxes.new_tensor([x * y for x, y in (meta["scale_factor"] for meta in metas)])
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1) / shrunk[:, None]
    sizes = torch.tensor(level_sizes(levels), device=label.device)
    return Conflict(
        target=by_location(target, levels).amax(2),
        teacher=by_location(scores, levels).amax(2),
        label=label,
        area=torch.where(label < targets.num_classes, area, 0),
        counted=(by_location(targets.label_weights, levels) > 0).any(-1),
        level=torch.arange(len(sizes), device=label.device).repeat_interleave(sizes),
    )


@torch.no_grad()
def conflict_view(
    pair: Pair,
    batch: Mapping[str, Any],
    students: Mapping[str, Any] | None = None,
    boxes: str = "teacher",
    image: int = 0,
) -> View:
    """Fig. 2 for one image of a batch: best scores of the ground truth, the teacher, any students.

    Args:
        pair: Student and teacher; the student's assigner gives the ground truth's map.
        batch: ``inputs`` and ``data_samples``.
        students: Trained detectors, in evaluation mode, by the titles of their maps.
        boxes: Whose boxes quality labels come from.
        image: Its index in the batch.
    """
    inputs = batch["inputs"]
    size = (inputs.shape[-2], inputs.shape[-1])
    found = find_conflict(pair, inputs, batch["data_samples"], boxes)
    levels = pair.teacher.extract_feat(inputs)
    seen = {
        "ground truth": (pair.teacher_head, found.target),
        "teacher": (pair.teacher_head, found.teacher),
    }
    for name, detector in (students or {}).items():
        head = adapter_for(detector.bbox_head)
        said = head.walk(detector.extract_feat(inputs)).predictions
        seen[name] = (head, scores_of(head, said))
    maps = {
        name: score_map(head, scores[image], levels, size).cpu().numpy()
        for name, (head, scores) in seen.items()
    }
    truth = batch["data_samples"][image].gt_instances.bboxes.cpu().numpy()
    return View(pixels(pair, inputs)[image], truth, maps)


def _target(
    pair: Pair,
    student: Predictions,
    teacher: Predictions,
    targets: Targets,
    metas: list[dict],
    boxes: str,
) -> Tensor:
    """p^gt ``(N, P, K)`` with quality labels from the boxes that were asked for."""
    head = pair.student_head
    if boxes == "student":
        return head.soft_labels(student, targets, metas)
    one_hot = HeadAdapter.soft_labels(head, student, targets, metas)
    if boxes == "exact" or not scores_quality(head):
        return one_hot
    levels = teacher.cls
    decoded = by_location(pair.teacher_head.decode(teacher.reg, metas), levels)
    best = by_location(scores_of(pair.teacher_head, teacher), levels).amax(-1).argmax(-1)
    decoded = decoded.take_along_dim(best[..., None, None], 2)  # the prior that is surest
    mine = by_location(targets.boxes, levels)
    overlap = bbox_overlaps(decoded.expand_as(mine), mine, is_aligned=True)
    return one_hot * overlap.flatten(1).clamp(0, 1)[..., None]


def scores_quality(head: HeadAdapter) -> bool:
    """Whether a head's targets depend on its boxes: its family has soft labels of its own."""
    return type(head).soft_labels is not HeadAdapter.soft_labels
