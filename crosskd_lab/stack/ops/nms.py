"""Non-maximum suppression: hard, soft (Bodla et al., ICCV 2017) and grouping.

Boxes are xyxy; ``offset`` is 0 where x2 - x1 is a width in continuous coordinates and 1 where
x2 is the last pixel inside, so that widths are x2 - x1 + 1. The loops are greedy and small, so
they run in NumPy on the CPU whatever the device of the tensors.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .common import torchvision_op

_BLOCK = 256  # rows of the IoU matrix held at once: 10 MB for 10,000 boxes
_HARD, _LINEAR = 0, 1  # mmcv's numbers for soft-NMS methods; 2 is gaussian


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices `(K,)`, int64, of the boxes kept, by falling score.

    ``boxes`` is `(N, 4)`, ``scores`` `(N,)`; a box goes when its IoU with a kept box of a higher
    score is above ``iou_threshold``. Equal scores keep their order.
    """
    # In float32, as mmcv has it: 0.6 in float64 would suppress an IoU of exactly 0.6.
    threshold = float(np.float32(iou_threshold))
    compiled = torchvision_op("nms")
    if compiled is not None and offset == 0:
        return compiled(boxes.float(), scores.float(), threshold)
    order = scores.detach().float().argsort(descending=True, stable=True)
    kept = _greedy_keep(_to_numpy(boxes[order]), threshold, offset)
    return order[torch.from_numpy(kept).to(order.device)]


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Indices `(K,)`, int64, in the order of choice; rows :K of ``dets`` get box and new score.

    ``boxes`` is `(N, 4)`, ``scores`` `(N,)`, ``dets`` `(N, 5)`, all on the CPU. Each chosen box
    multiplies the scores of those left by 0 (``method`` 0) or 1 - IoU (1) where the IoU reaches
    ``iou_threshold``, or by exp(-IoU² / ``sigma``) everywhere (2); whatever falls below
    ``min_score`` is dropped.
    """
    box = _to_numpy(boxes)
    score = _to_numpy(scores).copy()
    left = np.arange(len(box))
    chosen: list[int] = []
    while left.size:
        best = left[score[left].argmax()]
        chosen.append(int(best))
        left = left[left != best]
        iou = _iou(box[best, None], box[left], offset)[0]
        score[left] *= _decay(iou, iou_threshold, sigma, method)
        left = left[score[left] >= min_score]
    kept = np.asarray(chosen, dtype=np.int64)
    dets[: len(kept)] = torch.from_numpy(np.column_stack([box[kept], score[kept]]))
    return torch.from_numpy(kept)


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Groups of row numbers: a kept box first, then those it suppresses, by falling score.

    ``dets`` is `(N, 5)`: xyxy and score. Here, unlike in ``nms``, an IoU equal to
    ``iou_threshold`` suppresses.
    """
    rows = _to_numpy(dets)
    left = np.argsort(-rows[:, 4], kind="stable")
    groups: list[list[int]] = []
    while left.size:
        best, rest = left[0], left[1:]
        hit = _iou(rows[best, None, :4], rows[rest, :4], offset=0)[0] >= iou_threshold
        groups.append([int(best), *rest[hit].tolist()])
        left = rest[~hit]
    return groups


def _greedy_keep(boxes: NDArray[np.float32], threshold: float, offset: int) -> NDArray[np.int64]:
    """Row numbers kept of `(N, 4)` boxes that are sorted by falling score."""
    alive = np.ones(len(boxes), dtype=bool)
    for rows in _apart(boxes, offset):
        near = boxes[rows]
        for start in range(0, len(rows), _BLOCK):
            block = start + np.flatnonzero(alive[rows[start : start + _BLOCK]])
            overlaps = _iou(near[block], near[start:], offset) > threshold
            for row, overlap in zip(block, overlaps, strict=True):
                if alive[rows[row]]:
                    alive[rows[row + 1 :]] &= ~overlap[row + 1 - start :]
    return np.flatnonzero(alive)


def _apart(boxes: NDArray[np.float32], offset: int) -> list[NDArray[np.int64]]:
    """Rising row numbers of `(N, 4)` boxes, in groups of which no two share a column of pixels.

    mmcv moves each class to columns of its own, so no IoU between classes need be computed.
    """
    by_left = boxes[:, 0].argsort(kind="stable")
    left, right = boxes[by_left, 0], np.maximum.accumulate(boxes[by_left, 2])
    cuts = 1 + np.flatnonzero(left[1:] - right[:-1] >= offset)
    return [np.sort(rows) for rows in np.split(by_left, cuts)]


def _iou(a: NDArray[np.float32], b: NDArray[np.float32], offset: int) -> NDArray[np.float32]:
    """IoU `(M, N)` of `(M, 4)` and `(N, 4)` boxes; NaN, which suppresses nothing, for 0 / 0."""
    ax1, ay1, ax2, ay2 = a.T[:, :, None]
    bx1, by1, bx2, by2 = b.T[:, None]
    width = (np.minimum(ax2, bx2) - np.maximum(ax1, bx1) + offset).clip(min=0)
    height = (np.minimum(ay2, by2) - np.maximum(ay1, by1) + offset).clip(min=0)
    intersection = width * height
    area_a = (ax2 - ax1 + offset) * (ay2 - ay1 + offset)
    area_b = (bx2 - bx1 + offset) * (by2 - by1 + offset)
    with np.errstate(invalid="ignore", divide="ignore"):
        return intersection / (area_a + area_b - intersection)


def _decay(
    iou: NDArray[np.float32], threshold: float, sigma: float, method: int
) -> NDArray[np.float32]:
    """The factor by which a chosen box lowers each score left, `(N,)`."""
    if method == _HARD:
        return np.where(iou >= threshold, np.float32(0), np.float32(1))
    if method == _LINEAR:
        return np.where(iou >= threshold, 1 - iou, np.float32(1))
    return np.exp(-iou * iou / sigma)


def _to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().float().cpu().numpy()
