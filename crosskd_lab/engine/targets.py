"""What an assigner decides, for all images of a batch at once and without waiting for the GPU.

Stock mmdet assigns image by image, and asks the GPU a dozen times an image how many there are of
something. Here objects are padded to the batch's largest count, and what does not count is masked.
The result is stock's, except where stock's is left to chance: which of several priors equally far
from an object ``topk`` takes (ATSS, where some priors are invalid), and a prior whose overlap is
the threshold itself to the last digit (means and deviations are summed in another order).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.task_modules.assigners import ATSSAssigner, BboxOverlaps2D, MaxIoUAssigner
from mmdet.models.task_modules.samplers import PseudoSampler
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..heads.base import Levels, Predictions, Targets
from ..heads.dense import HeadAdapter
from ..losses import box_iou

BACKGROUND, LEFT_OUT = -1, -2


@dataclass(frozen=True)
class Objects:
    """The ground truth of N images, padded to G >= 1 objects each.

    ``boxes`` ``(N, G, 4)`` xyxy in input pixels, zeros where padded; ``labels`` ``(N, G)``, -1
    where padded; ``ignored`` ``(N, I, 4)`` boxes to leave out, padded by empty ones, or None.
    """

    boxes: Tensor
    labels: Tensor
    ignored: Tensor | None = None

    @property
    def real(self) -> Tensor:
        """``(N, G)`` bool: not padding."""
        return self.labels >= 0


def pad_objects(truths: list[Any], ignored: list[Any] | None = None) -> Objects:
    """The objects of a batch from mmdet's instances, image by image."""
    boxes = pad_sequence([truth.bboxes for truth in truths], batch_first=True)
    labels = pad_sequence([truth.labels for truth in truths], batch_first=True, padding_value=-1)
    if not labels.size(1):
        boxes, labels = F.pad(boxes, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=-1)
    left_out = None
    if any(one is not None and len(one.bboxes) for one in ignored or ()):
        none = boxes.new_zeros(0, 4)
        crowds = [none if one is None else one.bboxes for one in ignored or ()]
        left_out = pad_sequence(crowds, batch_first=True)
    return Objects(boxes, labels, left_out)


def valid_priors(head: HeadAdapter, levels: Levels, metas: list[dict]) -> Tensor:
    """``(N, P)`` bool: whether a prior's cell holds a pixel of its image (not of the padding)."""
    cells = head.cells(levels)
    sizes = [meta["pad_shape"][1::-1] for meta in metas]  # width, height
    if len(set(sizes)) == 1:  # nothing to tell the device
        (width, height), x, y = sizes[0], *cells.unbind(-1)
        return ((x < width) & (y < height)).expand(len(sizes), -1)
    on_gpu = cells.is_cuda
    edge = torch.tensor(sizes, pin_memory=on_gpu).to(cells.device, non_blocking=True)
    return (cells < edge[:, None]).all(-1)


# --- the assigners ---------------------------------------------------------------------------
def atss_owners(
    assigner: Any,
    priors: Tensor,
    counts: list[int],
    valid: Tensor,
    objects: Objects,
    said: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """ATSS (Zhang et al. 2020, algorithm 1), by stock's ``assigner``'s numbers: who owns each
    prior.

    ``priors`` ``(P, 4)`` are anchors, ``counts`` of each level; ``valid`` ``(N, P)``. An assigner
    with an ``alpha`` (DDOD's) compares what is ``said``: scores ``(N, P, K)``, boxes ``(N, P, 4)``.

    Returns:
        ``(N, P)`` index of the object, or ``BACKGROUND``, or ``LEFT_OUT``.
    """
    left_out = _ignored(assigner, priors, objects)
    candidate, distance = _nearest(assigner.topk, priors, counts, valid, left_out, objects)
    taken = distance.isfinite()  # (N, G, C)
    truth = objects.boxes[:, :, None]
    anchor = priors[candidate]  # (N, G, C, 4)
    if said is None:
        overlap = box_iou(anchor, truth)
    else:
        overlap = _agreement(assigner.alpha, *said, candidate, objects)
    count = taken.sum(-1, keepdim=True)
    mean = (overlap * taken).sum(-1, keepdim=True) / count
    variance = ((overlap - mean).square() * taken).sum(-1, keepdim=True) / (count - 1)
    centre = (anchor[..., :2] + anchor[..., 2:]) / 2
    inside = torch.cat([centre - truth[..., :2], truth[..., 2:] - centre], -1).amin(-1) > 0.01
    positive = (overlap >= mean + variance.sqrt()) & inside & taken & objects.real[..., None]

    # of several objects at one prior the one of highest overlap, and of these the first
    at, claim = candidate.flatten(1), torch.where(positive, overlap, -1.0).flatten(1)
    best = claim.new_full(valid.shape, -1.0).scatter_reduce(1, at, claim, "amax")
    count_of_objects = truth.size(1)
    index = torch.arange(count_of_objects, device=at.device)[:, None].expand(candidate.shape)
    wins = positive.flatten(1) & (claim == best.gather(1, at))
    owner = torch.full_like(valid, count_of_objects, dtype=torch.long).scatter_reduce(
        1, at, torch.where(wins, index.flatten(1), count_of_objects), "amin"
    )
    without = BACKGROUND if left_out is None else torch.where(left_out, LEFT_OUT, BACKGROUND)
    return torch.where(owner < count_of_objects, owner, without)


def _agreement(
    alpha: float, scores: Tensor, boxes: Tensor, candidate: Tensor, objects: Objects
) -> Tensor:
    """Score^(1 - alpha) * IoU^alpha of candidates ``(N, G, C)`` (DDOD, Chen et al. 2021)."""
    at = candidate.flatten(1)
    there = boxes.gather(1, at[..., None].expand(-1, -1, 4)).view(*candidate.shape, 4)
    of_class = candidate * scores.size(-1) + objects.labels.clamp(min=0)[..., None]
    score = scores.flatten(1).gather(1, of_class.flatten(1)).view_as(there[..., 0])
    return score ** (1 - alpha) * box_iou(there, objects.boxes[:, :, None]) ** alpha


def _nearest(
    topk: int,
    priors: Tensor,
    counts: list[int],
    valid: Tensor,
    left_out: Tensor | None,
    objects: Objects,
) -> tuple[Tensor, Tensor]:
    """Each object's nearest priors of every level, ``(N, G, C)``, and how far they are.

    Infinitely far is a prior that stock does not look at; far is one that it leaves out.
    """
    centre = (priors[:, :2] + priors[:, 2:]) / 2
    middle = (objects.boxes[..., :2] + objects.boxes[..., 2:]) / 2
    found, far, start = [], [], 0
    for count in counts:
        of_level = slice(start, start + count)
        x, y = (centre[of_level, axis] - middle[..., axis, None] for axis in (0, 1))
        distance = (x.square() + y.square()).sqrt()  # (N, G, P_l)
        if left_out is not None:
            distance = distance.masked_fill(left_out[:, None, of_level], 1e8)
        distance = distance.masked_fill(~valid[:, None, of_level], torch.inf)
        near, index = distance.topk(min(topk, count), largest=False)
        found.append(index + start)
        far.append(near)
        start += count
    return torch.cat(found, -1), torch.cat(far, -1)


def max_iou_owners(assigner: Any, priors: Tensor, valid: Tensor, objects: Objects) -> Tensor:
    """Faster R-CNN's rule (Ren et al. 2015), RetinaNet's numbers: ``(N, P)`` owners.

    A prior belongs to the object that it overlaps most, if that is enough; each object's best
    priors belong to it in any case, and the last such object prevails, as in stock.
    """
    overlap = box_iou(objects.boxes[:, :, None], priors)  # (N, G, P)
    nothing = ~(objects.real[..., None] & valid[:, None])
    left_out = _ignored(assigner, priors, objects)
    if left_out is not None:
        nothing = nothing | left_out[:, None]
    overlap = overlap.masked_fill(nothing, -1.0)
    best, which = overlap.max(1)
    limits = assigner.neg_iou_thr
    low, high = limits if isinstance(limits, tuple) else (0.0, limits)
    owner = torch.where((best >= low) & (best < high), BACKGROUND, LEFT_OUT)
    owner = torch.where(best >= assigner.pos_iou_thr, which, owner)
    if assigner.match_low_quality:
        most = overlap.amax(2, keepdim=True)
        own = (overlap == most) & (most >= assigner.min_pos_iou) & (overlap >= 0)
        index = torch.arange(overlap.size(1), device=own.device)[:, None]
        last = torch.where(own, index, -1).amax(1)
        owner = torch.where(last >= 0, last, owner)
    return torch.where(objects.real.any(1, keepdim=True), owner, BACKGROUND)


def _ignored(assigner: Any, priors: Tensor, objects: Objects) -> Tensor | None:
    """``(N, P)`` bool: priors too much inside a box to ignore, of images with objects."""
    if assigner.ignore_iof_thr <= 0 or objects.ignored is None:
        return None
    crowd = objects.ignored[:, :, None]
    shared = torch.minimum(priors[:, 2:], crowd[..., 2:]) - torch.maximum(
        priors[:, :2], crowd[..., :2]
    )
    size = priors[:, 2:] - priors[:, :2]
    overlap = shared.clamp(min=0)
    area = (size[:, 0] * size[:, 1]).clamp(min=1e-6)
    share = overlap[..., 0] * overlap[..., 1] / area
    return (share.amax(1) > assigner.ignore_iof_thr) & objects.real.any(1, keepdim=True)


def fcos_owners(head: Any, points: Tensor, counts: list[int], objects: Objects) -> Tensor:
    """FCOS (Tian et al. 2019): each point's smallest object that holds it and fits its level."""
    truth = objects.boxes[:, :, None]  # (N, G, 1, 4)
    before, after = points - truth[..., :2], truth[..., 2:] - points
    edges = torch.cat([before, after], -1)  # (N, G, P, 4)
    inside, reach = edges, edges.amax(-1)
    if head.center_sampling:
        middle = (truth[..., :2] + truth[..., 2:]) / 2
        radii = [stride * head.center_sample_radius for stride in head.strides]
        radius = _by_level(radii, counts, points)[:, None]
        low = torch.maximum(middle - radius, truth[..., :2])
        high = torch.minimum(middle + radius, truth[..., 2:])
        inside = torch.cat([points - low, high - points], -1)
    least, most = (
        _by_level(ends, counts, points) for ends in zip(*head.regress_ranges, strict=True)
    )
    fits = (inside.amin(-1) > 0) & (reach >= least) & (reach <= most) & objects.real[..., None]
    size = truth[..., 2:] - truth[..., :2]
    area = torch.where(fits, size[..., 0] * size[..., 1], 1e8)
    smallest, owner = area.min(1)
    return torch.where(smallest < 1e8, owner, BACKGROUND)


def _by_level(values: Any, counts: list[int], like: Tensor) -> Tensor:
    """``(P,)``: a level's value at each of its priors."""
    each = zip(values, counts, strict=True)
    return torch.cat([like.new_full((count,), float(value)) for value, count in each])


# --- targets ---------------------------------------------------------------------------------
def targets_of(
    head: HeadAdapter, owner: Tensor, objects: Objects, levels: Levels, valid: Tensor | None
) -> Targets:
    """What owners ``(N, P)`` mean for a head, as :meth:`HeadAdapter.read_targets` has it from
    stock.

    ``levels`` are maps that give the levels' sizes; ``valid`` is ``(N, P)``, None where padding
    counts as background (FCOS).
    """
    positive = owner >= 0 if valid is None else (owner >= 0) & valid
    at = owner.clamp(min=0)
    labels = torch.where(positive, objects.labels.gather(1, at), head.head.num_classes)
    boxes = objects.boxes.gather(1, at[..., None].expand(-1, -1, 4)) * positive[..., None]
    if valid is None:
        weights = torch.ones_like(boxes[..., 0])
        count = positive.sum()
    else:
        weights = ((owner != LEFT_OUT) & valid).float()
        weight = head.head.train_cfg["pos_weight"]
        if weight > 0:
            weights = torch.where(positive, weight, weights)
        count = positive.sum(1).clamp(min=1).sum()  # stock counts one in an image without any
    return Targets(
        labels=labels,
        label_weights=weights,
        boxes=boxes,
        num_pos=head.mean_over_processes(count, boxes).clamp(min=1),
        num_classes=head.head.num_classes,
        centres=head.centres(levels),
    )


def atss_targets(
    head: HeadAdapter,
    predictions: Predictions,
    objects: Objects,
    metas: list[dict],
    assigner: Any = None,
    said: tuple[Tensor, Tensor] | None = None,
) -> Targets:
    """Targets of heads that ATSS assigns, by the head's assigner or another; see
    :func:`atss_owners`.
    """
    levels = predictions.cls
    valid = valid_priors(head, levels, metas)
    assigner = assigner or head.head.assigner
    anchors, counts = head.assigned(levels), head.counts(levels)
    owner = atss_owners(assigner, anchors, counts, valid, objects, said)
    return targets_of(head, owner, objects, levels, valid)


def vfnet_targets(
    head: HeadAdapter, predictions: Predictions, objects: Objects, metas: list[dict]
) -> Targets:
    """ATSS's for VFNet, which counts no positive in an image without any."""
    return head.counted(atss_targets(head, predictions, objects, metas))


@dataclass(frozen=True)
class TwoTargets(Targets):
    """The class branch's targets, and beside them those ``of_boxes`` (DDOD)."""

    of_boxes: Targets | None = None


def ddod_targets(
    head: HeadAdapter, predictions: Predictions, objects: Objects, metas: list[dict]
) -> TwoTargets:
    """Targets of DDOD: an assigner for each branch, by what the head predicts."""
    scores = head.flat_cls(predictions).detach().sigmoid()
    said = scores, head.decode(predictions.reg).detach()
    of_classes, of_boxes = (
        atss_targets(head, predictions, objects, metas, assigner, said)
        for assigner in (head.head.cls_assigner, head.head.reg_assigner)
    )
    return TwoTargets(**vars(of_classes), of_boxes=of_boxes)


def max_iou_targets(
    head: HeadAdapter, predictions: Predictions, objects: Objects, metas: list[dict]
) -> Targets:
    """Targets of heads whose anchors are assigned by their overlap."""
    levels = predictions.cls
    valid = valid_priors(head, levels, metas)
    owner = max_iou_owners(head.head.assigner, head.priors(levels), valid, objects)
    return targets_of(head, owner, objects, levels, valid)


def fcos_targets(
    head: HeadAdapter, predictions: Predictions, objects: Objects, metas: list[dict]
) -> Targets:
    """Targets of FCOS's points."""
    levels = predictions.cls
    owner = fcos_owners(head.head, head.priors(levels), head.counts(levels), objects)
    return targets_of(head, owner, objects, levels, None)


AssignBatch = Callable[[HeadAdapter, Predictions, Objects, list[dict]], Targets]


def assigns_as_usual(stock: Any) -> bool:
    """Whether a head's anchors are assigned by the rules above, none of them at random."""
    if type(stock.sampler) is not PseudoSampler or stock.train_cfg["allowed_border"] >= 0:
        return False
    if hasattr(stock, "reg_assigner"):  # two, each by what the head predicts
        return _is_usual(stock.cls_assigner, True) and _is_usual(stock.reg_assigner, True)
    return _is_usual(stock.assigner, False)


def _is_usual(assigner: Any, by_predictions: bool) -> bool:
    measure: Any = getattr(assigner, "iou_calculator", None)
    if type(measure) is not BboxOverlaps2D or measure.scale != 1 or measure.dtype:
        return False
    if type(assigner) is ATSSAssigner:
        return (assigner.alpha is not None) == by_predictions
    return (
        type(assigner) is MaxIoUAssigner
        and assigner.gt_max_assign_all
        and assigner.ignore_wrt_candidates
        and assigner.perm_repeat_gt_cfg is None
    )
