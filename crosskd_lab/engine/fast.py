"""The fast form of a step: detection losses as one expression over all levels, and who has it.

There are two forms and never a third: the *reference*, the head's own ``loss_by_feat`` on stock's
assigner, and the *fast* one, the same numbers within rounding, without a stop. A run on a GPU takes
the fast one, on a CPU the reference, with which the records were made; ``fast`` says otherwise.

Stock picks the positives out and loops over levels; here every prior is computed and those that do
not count have weight 0. Sums, weights and normalisers are stock's, so that values and gradients
are the same but for the order of summation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.losses import (
    CrossEntropyLoss,
    DistributionFocalLoss,
    FocalLoss,
    GIoULoss,
    IoULoss,
    L1Loss,
    QualityFocalLoss,
    SmoothL1Loss,
    VarifocalLoss,
)
from mmdet.utils import reduce_mean
from torch import Tensor

from ..errors import LabError
from ..heads.base import Levels, Predictions, Targets
from ..heads.dense import HeadAdapter
from ..heads.retinanet import decode, encode
from ..losses import box_iou, giou_distance, kd_quality_focal, log_iou_distance, region_mean
from . import targets
from .precision import Weights, compile_hot
from .targets import AssignBatch, TwoTargets, pad_objects

DISTANCES: dict[type, Callable[..., Tensor]] = {GIoULoss: giou_distance, IoULoss: log_iou_distance}


def gfl_losses(head: Any, said: Predictions, targets: Targets) -> dict[str, Tensor]:
    """GFL (Li et al. 2020): quality focal, GIoU and distribution focal loss."""
    stock, positive = head.head, targets.positive
    cls, bins = head.flat_cls(said), head.edge_bins(said.reg)
    boxes = head.decode(said.reg)
    quality = box_iou(boxes.detach(), targets.boxes) * positive
    weight = cls.detach().sigmoid().amax(-1) * positive
    total = reduce_mean(weight.sum()).clamp(min=1)

    stride = head.stride_of_priors(said.cls)[:, None]
    edges = _edges(targets.boxes, targets.centres) / stride  # (N, P, 4)
    edges = edges.clamp(min=0, max=stock.reg_max - 0.1)
    left = edges.long()  # (N, P, 4): the bin below
    log_p = bins.log_softmax(-1)
    below, above = (log_p.gather(-1, at[..., None])[..., 0] for at in (left, left + 1))
    by_edge = -(below * (left + 1 - edges) + above * (edges - left))

    soft_label = head.one_hot(targets) * quality[..., None]
    focal = kd_quality_focal(cls, soft_label, stock.loss_cls.beta)
    cls_loss = region_mean(focal, targets.label_weights, targets.num_pos)
    box = _where(positive, boxes, targets.boxes)
    box_loss = region_mean(giou_distance(box, targets.boxes, stock.loss_bbox.eps), weight, 1.0)
    edge_loss = region_mean(by_edge.sum(-1), weight, 4.0)
    return {
        "loss_cls": stock.loss_cls.loss_weight * cls_loss,
        "loss_bbox": stock.loss_bbox.loss_weight * box_loss / total,
        "loss_dfl": stock.loss_dfl.loss_weight * edge_loss / total,
    }


def atss_losses(head: Any, said: Predictions, targets: Targets) -> dict[str, Tensor]:
    """ATSS (Zhang et al. 2020): focal loss, GIoU weighted by centerness, and centerness."""
    stock, positive = head.head, targets.positive
    boxes = _where(positive, head.decode(said.reg), targets.boxes)
    centerness = targets.centerness
    distance = giou_distance(boxes, targets.boxes, stock.loss_bbox.eps)
    total = reduce_mean(centerness.sum()).clamp(min=1)
    box_loss = region_mean(distance, centerness, 1.0) / total
    return {
        "loss_cls": _focal(head, said, targets, targets.label_weights, targets.num_pos),
        "loss_bbox": stock.loss_bbox.loss_weight * box_loss,
        "loss_centerness": _beside(head, stock.loss_centerness, said, targets, centerness),
    }


def retinanet_losses(head: Any, said: Predictions, targets: Targets) -> dict[str, Tensor]:
    """RetinaNet (Lin et al. 2017): focal loss, and L1 between deltas or GIoU between boxes.

    Unlike the others it divides by the process's own number of positives.
    """
    stock, positive = head.head, targets.positive
    count = positive.sum(1).clamp(min=1).sum()
    if stock.reg_decoded_bbox:
        boxes = _where(positive, head.decode(said.reg), targets.boxes)
        distance = giou_distance(boxes, targets.boxes, stock.loss_bbox.eps)
        box_loss = stock.loss_bbox.loss_weight * region_mean(distance, positive, count)
    else:
        anchors = head.priors(said.cls)
        truth = _where(positive, targets.boxes, anchors.expand_as(targets.boxes))
        coder = stock.bbox_coder
        deltas = encode(anchors, truth, coder.means, coder.stds)
        said_deltas = head.flat(said.reg, 4)
        each = stock.loss_bbox(said_deltas, deltas, reduction_override="none")
        box_loss = region_mean(each.sum(-1), positive, count)
    return {
        "loss_cls": _focal(head, said, targets, targets.label_weights, count),
        "loss_bbox": box_loss,
    }


def fcos_losses(head: Any, said: Predictions, targets: Targets) -> dict[str, Tensor]:
    """FCOS (Tian et al. 2019): focal loss, IoU weighted by centerness, and centerness.

    Boxes are compared around the point in the head's own unit, as stock does.
    """
    stock, positive = head.head, targets.positive
    edges = head.flat(said.reg, 4)
    dtype = edges.dtype
    points = head.centres(said.cls).to(dtype)
    truth = _edges(targets.boxes.to(dtype), points)
    if stock.norm_on_bbox:
        truth = truth / head.stride_of_priors(said.cls)[:, None]
    least, most = (
        torch.stack([f(truth[..., 0], truth[..., 2]), f(truth[..., 1], truth[..., 3])], -1)
        for f in (torch.minimum, torch.maximum)
    )
    ratio = _where(positive, least / most.clamp(min=1e-12), torch.zeros_like(least))
    centerness = ratio.clamp(min=0).prod(-1).sqrt()
    total = reduce_mean(centerness.sum()).clamp(min=1e-6)
    ours, theirs = (
        torch.cat([points - e[..., :2], points + e[..., 2:]], -1)
        for e in (_where(positive, edges, truth), truth)
    )
    distance = DISTANCES[type(stock.loss_bbox)](ours, theirs, stock.loss_bbox.eps)
    box_loss = region_mean(distance, centerness, total)
    return {
        "loss_cls": _focal(head, said, targets, None, targets.num_pos),
        "loss_bbox": stock.loss_bbox.loss_weight * box_loss,
        "loss_centerness": _beside(head, stock.loss_centerness, said, targets, centerness),
    }


def vfnet_losses(head: Any, said: Predictions, targets: Targets) -> dict[str, Tensor]:
    """VFNet (Zhang et al. 2021): varifocal loss, and GIoU of both boxes weighted by their IoU.

    Priors on the padding count as background: stock's loss does not ask for their weights.
    """
    stock, positive = head.head, targets.positive
    cls, losses = head.flat_cls(said), {}
    kinds = dict(loss_bbox=stock.loss_bbox, loss_bbox_rf=stock.loss_bbox_refine)
    for (name, kind), boxes in zip(kinds.items(), head.boxes(said.reg), strict=True):
        boxes = _where(positive, boxes, targets.boxes)
        quality = box_iou(boxes.detach(), targets.boxes).clamp(min=1e-6) * positive
        total = reduce_mean(quality.sum()).clamp(min=1)
        distance = giou_distance(boxes, targets.boxes, kind.eps)
        losses[name] = kind.loss_weight * region_mean(distance, quality, total)
    label = head.one_hot(targets) * quality[..., None]  # the second box's
    varifocal = stock.loss_cls(cls, label, reduction_override="none").sum(-1)
    losses["loss_cls"] = region_mean(varifocal, torch.ones_like(varifocal), targets.num_pos)
    return losses


def ddod_losses(head: Any, said: Predictions, targets: Targets) -> dict[str, Tensor]:
    """DDOD (Chen et al. 2021): focal loss, GIoU and the IoU, more at levels of few positives."""
    assert isinstance(targets, TwoTargets) and targets.of_boxes is not None
    stock, found = head.head, targets.of_boxes
    weight = targets.label_weights * _rarity(head, said.cls, targets)
    cls_loss = _focal(head, said, targets, weight, targets.num_pos)
    share, coder, anchors = _rarity(head, said.cls, found), stock.bbox_coder, head.priors(said.cls)
    truth = _where(found.positive, found.boxes, anchors.expand_as(found.boxes))
    deltas = encode(anchors, truth, coder.means, coder.stds)
    truth = decode(anchors, deltas, coder.means, coder.stds)  # as stock has it: sizes are clipped
    boxes = _where(found.positive, head.decode(said.reg), truth)
    distance = giou_distance(boxes, truth, stock.loss_bbox.eps)
    box_loss = region_mean(distance, found.positive * share, found.num_pos)
    return {
        "loss_cls": cls_loss,
        "loss_bbox": stock.loss_bbox.loss_weight * box_loss,
        "loss_iou": _beside(head, stock.loss_iou, said, found, box_iou(boxes, truth), share),
    }


def _rarity(head: Any, levels: Levels, targets: Targets) -> Tensor:
    """DDOD's share of a level, ``(P,)``: 1 where most positives have been so far, 2 where fewest.

    Stock counts both branches' positives in the classes' list, and so they are counted here.
    """
    stock, counts = head.head, head.counts(levels)
    now = torch.stack([level.sum() for level in targets.positive.split(counts, 1)])
    before = torch.as_tensor(stock.cls_num_pos_samples_per_level, dtype=torch.float64)
    stock.cls_num_pos_samples_per_level = seen = before.to(now.device) + now
    share = (2 - (seen - seen.min()) / (seen.max() - seen.min() + 1e-10)).float()
    return torch.cat([one.expand(count) for one, count in zip(share, counts, strict=True)])


def _edges(boxes: Tensor, centres: Tensor | None) -> Tensor:
    """Distances ``(N, P, 4)`` from each prior's centre to its box's left, top, right, bottom."""
    assert centres is not None
    return torch.cat([centres - boxes[..., :2], boxes[..., 2:] - centres], -1)


def _where(positive: Tensor, values: Tensor, otherwise: Tensor) -> Tensor:
    """``values`` at positives: a number that is not finite elsewhere must not reach a gradient."""
    return torch.where(positive[..., None], values, otherwise)


def _focal(
    head: HeadAdapter, said: Predictions, targets: Targets, weight: Tensor | None, count: Any
) -> Tensor:
    """The head's own focal loss, given one-hot targets at every prior."""
    cls = head.flat_cls(said)
    one_hot = head.one_hot(targets).flatten(0, 1)
    weight = None if weight is None else weight.flatten()
    return head.head.loss_cls(cls.flatten(0, 1), one_hot, weight, avg_factor=count.to(cls.dtype))


def _beside(
    head: HeadAdapter,
    loss: Any,
    said: Predictions,
    targets: Targets,
    label: Tensor,
    share: Tensor | float = 1.0,
) -> Tensor:
    """Cross-entropy at positives to the labels ``(N, P)`` of what is predicted beside the box."""
    assert said.centerness is not None
    logits = head.flat(said.centerness, 1)[..., 0]
    label = label.detach().float()  # as stock has it, whatever the logits are
    each = F.binary_cross_entropy_with_logits(logits, label, reduction="none")
    return loss.loss_weight * region_mean(each, targets.positive * share, targets.num_pos)


EXPECTED: dict[str, dict[str, tuple[type, ...]]] = {
    "GFLHead": dict(
        loss_cls=(QualityFocalLoss,), loss_bbox=(GIoULoss,), loss_dfl=(DistributionFocalLoss,)
    ),
    "ATSSHead": dict(
        loss_cls=(FocalLoss,), loss_bbox=(GIoULoss,), loss_centerness=(CrossEntropyLoss,)
    ),
    "RetinaHead": dict(loss_cls=(FocalLoss,), loss_bbox=(L1Loss, SmoothL1Loss, GIoULoss)),
    "FCOSHead": dict(
        loss_cls=(FocalLoss,), loss_bbox=(GIoULoss, IoULoss), loss_centerness=(CrossEntropyLoss,)
    ),
    "VFNetHead": dict(
        loss_cls=(VarifocalLoss,), loss_bbox=(GIoULoss,), loss_bbox_refine=(GIoULoss,)
    ),
    "DDODHead": dict(loss_cls=(FocalLoss,), loss_bbox=(GIoULoss,), loss_iou=(CrossEntropyLoss,)),
}
"""The losses that the dense forms know."""

NEEDED: dict[str, dict[str, bool]] = {
    "ATSSHead": dict(reg_decoded_bbox=True),
    "VFNetHead": dict(use_atss=True, reg_decoded_bbox=True, sync_num_pos=True),
}
"""What a head with another setting does, no dense form knows."""


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}

DenseLosses = Callable[[Any, Predictions, Targets], dict[str, Tensor]]
FORMS: dict[str, tuple[AssignBatch, DenseLosses]] = {
    "GFLHead": (targets.atss_targets, gfl_losses),
    "ATSSHead": (targets.atss_targets, atss_losses),
    "RetinaHead": (targets.max_iou_targets, retinanet_losses),
    "FCOSHead": (targets.fcos_targets, fcos_losses),
    "VFNetHead": (targets.vfnet_targets, vfnet_losses),
    "DDODHead": (targets.ddod_targets, ddod_losses),
}


class FastForm:
    """What ``head.detection_losses`` does, for all images and levels at once.

    ``head`` is the adapter of a head for which :func:`has_fast_form` holds.
    """

    def __init__(self, head: HeadAdapter) -> None:
        self.head = head
        self.assign, self.losses = FORMS[type(head.head).__name__]

    def __call__(
        self,
        predictions: Predictions,
        gt_instances: list[Any],
        metas: list[dict],
        ignored: list[Any] | None = None,
    ) -> tuple[dict[str, Any], Targets]:
        """See :meth:`HeadAdapter.detection_losses`; each loss is one number over all levels."""
        objects = pad_objects(gt_instances, ignored)
        found = self.assign(self.head, predictions, objects, metas)
        return self.losses(self.head, predictions, found), found


def has_fast_form(head: Any) -> bool:
    """Whether a head, set as it is, has a fast form; RoIs and sampled anchors have none."""
    stock, name = head.head, type(head.head).__name__
    if name not in FORMS:
        return False
    losses = {kind: getattr(stock, kind) for kind in EXPECTED[name]}
    usual = {"mode": "log", "activated": False, "reduction": "mean"}
    return (
        all(type(loss) in EXPECTED[name][kind] for kind, loss in losses.items())
        and all(getattr(loss, k, v) == v for loss in losses.values() for k, v in usual.items())
        and all(getattr(stock, k) == v for k, v in NEEDED.get(name, {}).items())
        and (name != "RetinaHead" or stock.reg_decoded_bbox == (type(stock.loss_bbox) is GIoULoss))
        and (name == "FCOSHead" or targets.assigns_as_usual(stock))
    )


def quicken(model: Any, precision: str = "fp32", compiled: bool = True) -> Any:
    """Give a Distiller the fast form of its step; its losses are the same within rounding.

    The student's detection losses get their fast form where its head has one; else the reference
    stays, and one line says so. The teacher gets its inference form. Not to be undone: build the
    model anew for the reference. ``precision`` "bf16" keeps activations in bf16 and weights in
    float32, and on a GPU compiles what is marked :func:`crosskd_lab.engine.precision.hot` if
    ``compiled``; LabError for another, or a detector that has no bf16 form.
    """
    if precision not in [*PRECISIONS]:  # nor hashable, perhaps
        raise LabError(f"precision = {precision!r}: choose one of {', '.join(PRECISIONS)}")
    pair, head = model.pair, model.pair.student_head
    if has_fast_form(head):
        head.fast = FastForm(head)
    else:
        kind = type(head.head).__name__
        warnings.warn(f"{kind}, set as it is, trains in its reference form", stacklevel=2)
    dtype = PRECISIONS[precision]
    if dtype == torch.bfloat16:
        Weights(pair.student, dtype, frozen=False)
        compile_hot(compiled)
    Weights(pair.teacher, dtype, frozen=True)
    return model
