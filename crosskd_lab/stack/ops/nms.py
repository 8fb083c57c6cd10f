"""Non-maximum suppression.

Boxes are xyxy; ``offset`` is 0 where x2 - x1 is a width in continuous coordinates and 1 where
x2 is the last pixel inside, so that widths are x2 - x1 + 1. The loop is greedy and small, so it
runs in NumPy on the CPU whatever the device of the tensors.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .common import torchvision_op

_BLOCK = 256  # rows of the IoU matrix held at once: 10 MB for 10,000 boxes


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
    sorted_boxes = boxes[order].detach().float().cpu().numpy()
    kept = _greedy_keep(sorted_boxes, threshold, offset)
    return order[torch.from_numpy(kept).to(order.device)]


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
