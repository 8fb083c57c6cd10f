"""Sec. 3.1: where the assigner's target and the teacher's probability contradict each other.

Found on one batch (Fig. 2), counted over a whole set with memory flat in its images (Fig. 3), at
the cost of the assigner alone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures.bbox import bbox_overlaps
from numpy.typing import NDArray
from torch import Tensor

from .errors import LabError, one_of
from .files import write_whole
from .heads import adapter_for
from .heads.base import BRANCHES, Levels, Predictions, Targets
from .heads.dense import HeadAdapter
from .maps import View, by_location, level_sizes, score_map, scores_of, view
from .pair import Pair

if TYPE_CHECKING:
    import pandas as pd

BOXES = ("teacher", "student", "exact")
"""Whose boxes a quality label is the IoU of; "exact" says 1 at every positive."""
SIZES = ("small", "medium", "large", "background")
DYNAMIC = ("DDODHead", "PAAHead", "RTMDetHead", "TOODHead", "YOLOXHead")
"""Heads of mmdet whose assigners weigh what the student predicts."""


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
        most = (self.target - self.teacher).abs().max(-1)  # over K: (N, R)
        return most.values, most.indices


def conflict_ratio(conflict: Conflict, threshold: float) -> float:
    """Fig. 3, a scalar: locations with discrepancy > threshold, over positive ones (at least 1)."""
    apart = (conflict.discrepancy[0] > threshold) & conflict.counted  # (N, R)
    return float(apart.sum() / conflict.positive.sum().clamp(min=1))


@torch.no_grad()
def find_conflict(
    pair: Pair, inputs: Tensor, data_samples: Sequence[Any], boxes: str = "teacher"
) -> Conflict:
    """Hold the student's assigner against the teacher on a batch.

    The student's network runs only for ``boxes="student"``; otherwise its untrained weights have no
    say in the result. Both detectors must be in evaluation mode. ``inputs`` are ``(N, 3, H, W)``,
    normalised; ground truth is in input pixels; for ``boxes`` see :data:`BOXES`. LabError for
    another word, or for an assigner that needs boxes="student".
    """
    one_of("boxes", boxes, BOXES)
    if pair.student_head.family != "dense":
        raise LabError(
            "conflict is counted location by location, between dense heads: choose such a pair"
        )
    if boxes != "student" and is_dynamic(pair.student_head):
        raise LabError(
            f"the assigner of {type(pair.student_head.head).__name__} looks at the student's "
            "predictions and has no targets before training: take a trained student and its own "
            "boxes"
        )
    truths, ignored, metas = unpack_gt_instances(data_samples)
    teacher = pair.teacher_head.forward_towers(pair.teacher.extract_feat(inputs)).predictions
    if boxes == "student":
        student = pair.student_head.forward_towers(pair.student.extract_feat(inputs)).predictions
    else:
        student = blank_predictions(pair.student_head, teacher.cls)
    head = pair.student_head
    targets = assigned(head, student, truths, metas, ignored)
    if boxes == "student":
        target = head.soft_labels(student, targets)  # (N, P, K)
    else:
        target = HeadAdapter.soft_labels(head, student, targets)  # one-hot
    if boxes == "teacher" and type(head).soft_labels is not HeadAdapter.soft_labels:
        # the family's labels are its boxes' quality: of the prior that the teacher is surest of
        decoded = by_location(pair.teacher_head.decode(teacher.reg), teacher.cls)
        best = by_location(scores_of(pair.teacher_head, teacher), teacher.cls).amax(-1).argmax(-1)
        decoded = decoded.take_along_dim(best[..., None, None], 2)
        mine = by_location(targets.boxes, teacher.cls)
        overlap = bbox_overlaps(decoded.expand_as(mine), mine, is_aligned=True)
        target = target * overlap.flatten(1).clamp(0, 1)[..., None]
    return locate(pair.teacher_head, target, teacher, targets, metas)


def locate(
    teacher_head: HeadAdapter,
    target: Tensor,
    teacher: Predictions,
    targets: Targets,
    metas: Sequence[dict],
) -> Conflict:
    """Reduce both sides to locations: ``target`` ``(N, P, K)`` p^gt at the student's priors, what
    its assigner decided, and the teacher's predictions.

    ``metas`` have, per image, ``scale_factor`` (x, y) from original to input pixels, where an image
    was resized.
    """
    levels = teacher.cls
    scores = scores_of(teacher_head, teacher)  # (N, P, K)
    labels = torch.where(targets.positive, targets.labels, targets.num_classes)
    label, first = by_location(labels, levels).min(-1)  # background is the highest label
    boxes = by_location(targets.boxes, levels)  # (N, R, A, 4)
    boxes = boxes.take_along_dim(first[..., None, None], 2).squeeze(2)  # (N, R, 4)
    scales = [meta.get("scale_factor", (1.0, 1.0)) for meta in metas]
    shrunk = boxes.new_tensor([x * y for x, y in scales])  # (N,)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1) / shrunk[:, None]  # (N, R)
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
    """Fig. 2 for one image: maps ``(H, W)`` of the best score of ground truth, teacher, any
    students.

    The ground truth's is what the student's assigner asks for; ``students`` are trained detectors,
    in evaluation mode, by the titles of their maps.
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
        prediction = head.forward_towers(detector.extract_feat(inputs)).predictions
        seen[name] = (head, scores_of(head, prediction))
    maps = {n: score_map(head, scores[image], levels, size) for n, (head, scores) in seen.items()}
    return view(pair, batch, maps, image)


class ConflictHistogram:
    """Counts of locations by level, object size, class and discrepancy.

    Bin 0 holds discrepancy 0, bin k the interval ((k - 1) / B, k / B]: at the edges k / B the
    counts of "discrepancy > threshold" are exact.

    ``strides`` are pixels between neighbouring locations, per level; ``areas`` the sides, in pixels
    of the original image, of the squares that part small, medium and large boxes.
    """

    def __init__(
        self,
        strides: Sequence[int],
        classes: Sequence[str],
        areas: Sequence[float] = (32, 96),
        bins: int = 100,
    ) -> None:
        self.strides, self.classes = tuple(strides), tuple(classes)
        self.areas, self.bins = tuple(areas), bins
        self.images = 0
        shape = (len(self.strides), len(SIZES), len(self.classes))
        self.counts: NDArray[np.int64] = np.zeros((*shape, bins + 1), np.int64)
        self.positives: NDArray[np.int64] = np.zeros(shape, np.int64)

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """The edges 0, 1 / B, ..., 1 at which conflict is counted, ``(B + 1,)``."""
        return np.arange(self.bins + 1) / self.bins

    def add(self, conflict: Conflict) -> None:
        """Count one batch ``(N, R)``.

        A conflict is filed under the size of the object at its location (or background) and under
        the class in which the two sides differ most; a positive under its object's class.
        """
        discrepancy, disputed = conflict.discrepancy  # (N, R) both
        counted, positive = conflict.counted, conflict.positive
        edges = torch.as_tensor(self.thresholds, device=discrepancy.device)
        bin_of = torch.bucketize(discrepancy.double(), edges).clamp(max=self.bins)
        level = conflict.level.expand_as(conflict.label)
        squares = torch.tensor([side**2 for side in self.areas], device=level.device)
        size = torch.bucketize(conflict.area, squares, right=True)
        size = torch.where(positive, size, SIZES.index("background"))
        self.counts += _count(self.counts.shape, counted, level, size, disputed, bin_of)
        self.positives += _count(self.positives.shape, positive, level, size, conflict.label)
        self.images += len(conflict.label)

    def frame(self) -> pd.DataFrame:
        """The conflict ratio overall and by level, object size and class, at every threshold.

        Columns ``by`` (all, level, size, class), ``group``, ``threshold``, ``conflicts`` (locations
        with discrepancy > threshold), ``positives`` and ``ratio`` of the two, NaN without
        positives. The group "background" has no positives of its own: it is held against all, so
        that it is the share of Fig. 3's ratio which background causes.
        """
        import pandas as pd

        levels = [f"stride {stride}" for stride in self.strides]
        tables = [("all", ("all",), (0, 1, 2)), ("level", levels, (1, 2))]
        tables += [("size", SIZES, (0, 2)), ("class", self.classes, (0, 1))]
        frames = []
        for by, groups, others in tables:
            counts = self.counts.sum(others).reshape(len(groups), -1)
            positives = self.positives.sum(others).reshape(-1)
            if by == "size":
                positives[-1] = self.positives.sum()
            for group, count, positive in zip(groups, counts, positives, strict=True):
                above, ratio = _conflicts(count, positive)
                rows = {"by": by, "group": group, "threshold": self.thresholds}
                rows |= {"conflicts": above, "positives": positive, "ratio": ratio}
                frames.append(pd.DataFrame(rows))
        return pd.concat(frames, ignore_index=True)

    def curve(self, level: int | None = None, label: int | None = None) -> NDArray[np.float64]:
        """``(B + 1,)``: the conflict ratio at every threshold, of a level, a class, or overall.

        Of a class: conflicts *about* it over positives *of* it; NaN without positives.
        """
        levels = slice(level, None if level is None else level + 1)
        labels = slice(label, None if label is None else label + 1)
        counts = self.counts[levels, :, labels].sum((0, 1, 2))
        return _conflicts(counts, self.positives[levels, :, labels].sum())[1]

    def save(self, path: str | Path, identity: str) -> None:
        """Write the counts, whole or not at all, with what they are counts of."""
        held: dict[str, Any] = {"counts": self.counts, "positives": self.positives}
        held |= {"images": self.images, "identity": np.array(identity)}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **held)
        write_whole(path, buffer.getvalue())

    def load(self, path: str | Path, identity: str) -> None:
        """Take up saved counts; LabError where they cannot be read or count something else."""
        remedy = "remove it, or name another folder"
        try:
            with np.load(path, allow_pickle=False) as saved:
                found = {name: saved[name] for name in saved.files}
            positives, images = found["positives"], int(found["images"])
            same = str(found["identity"]) == identity and found["counts"].shape == self.counts.shape
        except Exception as error:
            raise LabError(f"{path} cannot be read ({error}): {remedy}") from error
        if not same:
            raise LabError(f"{path} counts another pair, set or target: {remedy}")
        self.counts, self.positives, self.images = found["counts"], positives, images


def _conflicts(counts: NDArray, positives: int) -> tuple[NDArray, NDArray]:
    """Locations above every threshold, from counts ``(B + 1,)`` a bin; and over the positives."""
    above = counts[::-1].cumsum()[::-1] - counts
    return above, above / positives if positives else np.full(len(above), np.nan)


def _count(shape: tuple[int, ...], mask: Tensor, *indices: Tensor) -> NDArray[np.int64]:
    """How often each combination of indices occurs where ``mask`` is True."""
    chosen = [index[mask].cpu().numpy() for index in indices]
    flat = np.ravel_multi_index(chosen, shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)


class _Answered(Exception):
    """Carries the assigner's answer past the losses that would be computed on it."""


def assigned(
    head: HeadAdapter,
    predictions: Predictions,
    truths: list[Any],
    metas: list[dict],
    ignored: list[Any] | None = None,
) -> Targets:
    """The targets ``(N, P)`` of the head's own loss, which is left once its assigner has answered.

    Families that say themselves when that is (PAA, TOOD) compute their losses in full. An assigner
    that does not look at predictions may be given blank ones.
    """
    if type(head).detection_losses is not HeadAdapter.detection_losses:
        return head.detection_losses(predictions, truths, metas, ignored)[1]
    assign = getattr(head.head, head.assigns)

    def answer(*args: Any, **kwargs: Any) -> None:
        raise _Answered(assign(*args, **kwargs))

    object.__setattr__(head.head, head.assigns, answer)
    try:
        return head.detection_losses(predictions, truths, metas, ignored)[1]
    except _Answered as carried:
        return head.read_targets(carried.args[0], predictions)
    finally:
        object.__delattr__(head.head, head.assigns)


def blank_predictions(head: HeadAdapter, levels: Levels) -> Predictions:
    """What the predictors say to towers of zeros, for maps ``(N, C, H_l, W_l)`` of these sizes.

    It has the right shapes, which is all that an assigner needs that looks at no prediction.
    """

    def zeros(channels: int) -> Levels:
        return tuple(m.new_zeros(len(m), channels, *m.shape[-2:]) for m in levels)

    return head.predict({b: zeros(head.channels(b, head.depth)) for b in BRANCHES})


def is_dynamic(head: HeadAdapter) -> bool:
    """Whether a head's assigner looks at predictions, so that its targets change in training."""
    return any(kind.__name__ in DYNAMIC for kind in type(head.head).__mro__)
