"""Between heads that number, code or score their boxes differently.

A head's *space* is its classes, its priors and its box coding. CrossKD stays in the teacher's, so
only what the student's assigner decided has to be carried over. Plain mimicking compares the
student's own predictions with the teacher's and needs one prior a location on both sides:

- of the teacher, the anchor with the highest class score there;
- of the student, where it has several, the anchor that overlaps that box best;
- boxes are compared decoded, in input pixels.

Limits of this definition (ours; no published one exists): the teacher's other anchors at the
location teach nothing and the student's other anchors learn nothing; a location covers one object
only; box distributions are reduced to boxes; and scores are taken as they are, although GFL's means
the IoU of its box and RetinaNet's the probability of its class.
"""

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from .base import Predictions
from .dense import HeadAdapter

CODING = ("reg_max", "norm_on_bbox", "reg_class_agnostic")  # how boxes are coded, besides a coder


def same_space(one: HeadAdapter, other: HeadAdapter) -> bool:
    """Whether predictions of two heads can be compared entry by entry.

    Heads that are not dense predict at shared places (RoIs, queries), so only their coding counts.
    """
    if one.family != "dense":
        return _coding(one) == _coding(other)
    if (type(one), one.num_classes, one.strides) != (type(other), other.num_classes, other.strides):
        return False
    maps = tuple(torch.empty(1, 1, 2, 2) for _ in one.strides)
    priors = one.priors(maps), other.priors(maps)
    return priors[0].equal(priors[1]) and _coding(one) == _coding(other)


def _coding(adapter: HeadAdapter) -> tuple[dict, list]:
    """How a head codes boxes."""
    coder = vars(getattr(adapter.head, "bbox_coder", None) or object)
    return dict(coder), [getattr(adapter.head, name, None) for name in CODING]


def to_anchors(per_prior: Tensor, ours: int, theirs: int) -> Tensor:
    """Carry a value per prior ``(N, L * ours)`` of one head over to the priors of another.

    Heads with equally many anchors a location keep their values one by one; otherwise a location
    has the largest value of its anchors, and each anchor of the other head that of its location:
    ``(N, L * theirs)``. The anchors of a location stand side by side.
    """
    if ours == theirs:
        return per_prior
    return per_prior.unflatten(1, (-1, ours)).amax(-1).repeat_interleave(theirs, 1)


def best_anchors(head: HeadAdapter, predictions: Predictions) -> tuple[Tensor, Tensor]:
    """Class logits ``(N, L, K)`` and boxes ``(N, L, 4)`` of each location's best-scored anchor."""
    logits, boxes = _by_location(head, predictions)
    return _pick((logits, boxes), logits.amax(-1).argmax(-1))


def nearest_anchors(
    head: HeadAdapter, predictions: Predictions, boxes: Tensor
) -> tuple[Tensor, Tensor]:
    """Class logits and boxes of the anchor that overlaps ``boxes`` best, location by location.

    The anchor itself is compared, not the box predicted from it, so the choice does not depend on
    what the student has learnt. For boxes ``(N, L, 4)`` xyxy in input pixels: ``(N, L, K)`` logits
    and ``(N, L, 4)`` boxes.
    """
    mine = _by_location(head, predictions)
    if head.anchors == 1:
        return mine[0][:, :, 0], mine[1][:, :, 0]
    anchors = head.priors(predictions.cls).unflatten(0, (-1, head.anchors))  # (L, A, 4)
    wanted = boxes[:, :, None].expand(-1, -1, head.anchors, -1)  # (N, L, A, 4)
    overlap = bbox_overlaps(wanted, anchors.expand_as(wanted), is_aligned=True)  # (N, L, A)
    return _pick(mine, overlap.argmax(-1))


def _by_location(head: HeadAdapter, predictions: Predictions) -> tuple[Tensor, Tensor]:
    """Logits ``(N, L, A, K)`` and decoded boxes ``(N, L, A, 4)``."""
    flat = head.flat_cls(predictions), head.decode(predictions.reg)
    logits, boxes = (values.unflatten(1, (-1, head.anchors)) for values in flat)
    return logits, boxes


def _pick(values: tuple[Tensor, Tensor], anchor: Tensor) -> tuple[Tensor, Tensor]:
    """The entries of ``(N, L, A, D)`` tensors at one anchor ``(N, L)`` a location."""
    index = anchor[..., None, None]  # (N, L, 1, 1)
    logits, boxes = (
        value.gather(2, index.expand(-1, -1, 1, value.size(-1))).squeeze(2) for value in values
    )
    return logits, boxes
