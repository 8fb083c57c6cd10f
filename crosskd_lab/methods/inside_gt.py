"""Inside GT Box (baseline in LD, Zheng et al., CVPR 2022): imitate where objects are."""

import torch
from torch import Tensor

from ..heads.base import Levels
from ..taps import Taps
from .base import split_levels
from .imitation import Imitation


def inside_gt(taps: Taps) -> Levels:
    """Locations strictly inside any ground truth box, ``(N, H_l, W_l)`` bool a level.

    Every box marks every level: there is no assignment by size.
    """
    neck = taps.student.neck
    points = taps.student_head.centres(neck)[:: taps.student_head.anchors]
    marked = torch.stack([inside_boxes(points, gt.bboxes) for gt in taps.gt_instances])
    return tuple(level.any(-1) for level in split_levels(marked, neck))


class InsideGT(Imitation):
    """``weight * sum over levels of mean over M of (F^s - F^t)^2``, M = inside any box.

    Paper: none of its own; the baseline of that name in LD, arXiv 2102.12252.

    Idea: the background is mostly noise, so only locations whose prior's centre lies strictly
    inside an object's box imitate.

    Needs: ground truth boxes; neck features of equal channels. Nothing to train.

    Symbols: M = masks(taps), per level (N, H, W); F^s, F^t = neck features (N, C, H, W); the
    mean runs over the batch's masked locations and all channels. A level without any positive of
    the student's assigner contributes 0.

    Carried over: LD's weight belongs to two images a process, K = 80 and 12 epochs. No class
    enters, and the mean is that of any batch; but a larger batch seldom has a level without a
    positive.

    Unverified: the weight for heads other than GFL; we keep 2.

    Args:
        weight: 2 in LD's code.
    """

    name = "inside_gt"

    def masks(self, taps: Taps) -> Levels:
        """See :func:`inside_gt`."""
        return inside_gt(taps)


def inside_boxes(points: Tensor, boxes: Tensor) -> Tensor:
    """``(P,)`` bool: points ``(P, 2)`` strictly inside any of the boxes ``(G, 4)``."""
    points = points[:, None]  # (P, 1, 2)
    return ((points > boxes[:, :2]) & (points < boxes[:, 2:])).all(-1).any(-1)
