"""The distances D_pred, the region weights S(r) and the mean over them: pure functions.

Every distance keeps the location axis, so that a reader can look at the map before it is summed.
Logits are unnormalised; boxes are ``(x1, y1, x2, y2)`` in input pixels.
"""

from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.nn.functional import all_reduce

from .shapes import expect_same


def region_mean(distance: Tensor, weight: Tensor, normaliser: Tensor | float) -> Tensor:
    """Eq. (1) and (2): ``(1/|S|) * sum over r of S(r) * D_pred(r)``, a scalar.

    ``distance`` is D_pred ``(...,)``, ``weight`` S(r), broadcastable to it, ``normaliser`` |S| > 0.
    """
    eps = torch.finfo(torch.float32).eps  # as mmdet's losses do: an empty batch gives 0, not nan
    if isinstance(normaliser, Tensor):
        normaliser = normaliser.to(distance.dtype)
    return (distance * weight).sum() / (normaliser + eps)  # a sum over (N, P), 0-d


def everywhere(teacher_logits: Tensor) -> Tensor:
    """S(r) = 1, the paper's choice (after eq. 2): ``(N, P, K)`` logits to ``(N, P)`` ones."""
    return torch.ones_like(teacher_logits[..., 0])


def teacher_score(teacher_logits: Tensor) -> Tensor:
    """S(r) = max over classes of sigma(p^t), what the authors' code weights boxes with.

    Of logits ``(N, P, K)``: ``(N, P)`` in [0, 1], detached.
    """
    return teacher_logits.detach().sigmoid().amax(-1)


REGIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "everywhere": everywhere,
    "teacher_score": teacher_score,
}


def kd_quality_focal(logits: Tensor, soft_label: Tensor, beta: float = 1.0) -> Tensor:
    """Quality focal loss towards a soft label (sec. 3.3; GFL, Li et al. 2020, eq. 2).

    ``|sigma(z) - y|^beta * BCE(y, z)`` of logits z ``(..., K)`` and y ``(..., K)`` in [0, 1], the
    teacher's sigma(p^t), summed over classes: ``(...,)``. The modulating factor is part of the
    gradient; the soft label is not. beta = 0 leaves plain BCE.
    """
    expect_same(logits, soft_label, "quality focal loss: logits and soft label")
    soft_label = soft_label.detach()
    bce = F.binary_cross_entropy_with_logits(logits, soft_label, reduction="none")  # (..., K)
    if beta:
        bce = bce * (logits.sigmoid() - soft_label).abs().pow(beta)
    return bce.sum(-1)  # (...,)


def distribution_kl(logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """KL between the box-edge distributions (sec. 3.3; LD, Zheng et al. 2022, eq. 4).

    ``T^2 * sum over bins of p^t ln(p^t / p)`` with ``p = softmax(logits / T)``, T > 0: of logits
    ``(..., bins)``, the teacher's detached, ``(...,)`` nats.
    """
    expect_same(
        logits, teacher_logits, "box distributions", "both heads need the same reg_max for KL"
    )
    log_p = F.log_softmax(full_precision(logits) / temperature, -1)  # (..., bins)
    log_t = F.log_softmax(full_precision(teacher_logits.detach()) / temperature, -1)
    return temperature**2 * (log_t.exp() * (log_t - log_p)).sum(-1)  # (...,)


def pearson_distance(student: Tensor, teacher: Tensor, eps: float = 1e-6) -> Tensor:
    """PKD (Cao et al. 2022, eq. 3): half the mean squared difference of standardised maps, a
    scalar.

    Mean and unbiased deviation (+ ``eps``) of ``(N, C, H, W)`` are taken per channel over batch and
    space, so that the result is ``(1 - r) * (n - 1) / n`` for Pearson's r, averaged over channels.
    """
    expect_same(student, teacher, "PKD maps", "give both necks and heads the same channels")
    difference = standardise(student, eps) - standardise(teacher.detach(), eps)  # (N, C, H, W)
    return 0.5 * difference.square().mean()


def standardise(feature: Tensor, eps: float = 1e-6) -> Tensor:
    """``(f - mean) / (std + eps)`` per channel of ``(N, C, H, W)`` over batch and space."""
    deviation, mean = channel_statistics(feature)  # (1, C, 1, 1) each
    return (feature - mean) / (deviation + eps)


def full_precision(values: Tensor) -> Tensor:
    """float16 and bfloat16 ``(...,)`` become float32 here; others stay as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def channel_statistics(feature: Tensor) -> tuple[Tensor, Tensor]:
    """Deviation and mean ``(1, C, 1, 1)`` of ``(N, C, H, W)`` over batch and space.

    The deviation is unbiased; where a channel has a single value (the coarsest level of a lone
    small image) it is 0, not nan. In a distributed run the batch is that of all processes, so a
    batch spread over processes is what it is in one (the authors' code takes each process's own).
    """
    feature = full_precision(feature)
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        return _statistics_of_all(feature)
    correction = 0 if feature.numel() == feature.size(1) else 1
    return torch.std_mean(feature, dim=(0, 2, 3), correction=correction, keepdim=True)


def _statistics_of_all(feature: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`channel_statistics` over all processes' maps, which may differ in N, H and W."""

    def total(values: Tensor) -> Tensor:
        return all_reduce(values)  # differentiable: each process's gradient reaches all

    count = total(feature.new_tensor(feature.numel() / feature.size(1)))
    mean = total(feature.sum((0, 2, 3), keepdim=True)) / count
    square = total((feature - mean).square().sum((0, 2, 3), keepdim=True))
    variance = square / (count - 1).clamp(min=1)
    return variance.clamp(min=1e-30).sqrt(), mean  # a root of 0 would have no gradient


def box_iou(boxes: Tensor, others: Tensor, eps: float = 1e-6) -> Tensor:
    """Intersection over union of ``(..., 4)`` xyxy boxes that broadcast, ``(...,)`` in [0, 1]."""
    overlap, union, _ = _overlap(boxes, others)
    return overlap / union.clamp(min=eps)


def giou_distance(boxes: Tensor, teacher_boxes: Tensor, eps: float = 1e-6) -> Tensor:
    """1 - GIoU (sec. 3.3; Rezatofighi et al. 2019) of ``(..., 4)`` boxes, ``(...,)`` in [0, 2]."""
    overlap, union, hull = _overlap(boxes, teacher_boxes.detach())
    union = union.clamp(min=eps)
    hull = hull.clamp(min=eps)
    return 1 - (overlap / union - (hull - union) / hull)


def log_iou_distance(boxes: Tensor, teacher_boxes: Tensor, eps: float = 1e-6) -> Tensor:
    """-ln IoU (UnitBox, Yu et al. 2016), FCOS's box loss, of ``(..., 4)`` boxes, ``(...,)``."""
    return -box_iou(boxes, teacher_boxes.detach(), eps).clamp(min=eps).log()


def _overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Areas of intersection, union and enclosing box of ``(..., 4)`` xyxy boxes that broadcast.

    A box turned inside out, as RTMDet's distances of either sign can give, has no area.
    """
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(0)
    outer = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).clamp(0)
    overlap = _area(inner)  # (...,)
    area_a, area_b = (_area((box[..., 2:] - box[..., :2]).clamp(0)) for box in (a, b))
    return overlap, area_a + area_b - overlap, _area(outer)


def _area(extent: Tensor) -> Tensor:
    """Width times height of ``(..., 2)``; the gradient of ``prod`` would wait for the GPU."""
    return extent[..., 0] * extent[..., 1]
