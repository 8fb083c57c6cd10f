"""Fine-grained feature imitation (Wang et al., CVPR 2019): imitate near objects."""

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from ..heads.base import Levels
from ..heads.dense import HeadAdapter
from ..taps import Taps
from .base import split_levels
from .imitation import Imitation


class FineGrained(Imitation):
    """``weight * sum over levels of mean over M of (F^s - F^t)^2``, M = near an object.

    Paper: Distilling Object Detectors with Fine-grained Feature Imitation, arXiv 1906.03609.
    Table 5's number belongs to LD's dense variant (arXiv 2102.12252), the default here.

    Idea: how the teacher answers *around* an object shows how it generalises. M holds every
    location with an anchor whose IoU with some object exceeds half of the best anchor's.

    Needs: ground truth boxes and anchors; neck features of equal channels. Nothing to train.

    Symbols: ``M = any over objects k of IoU_k > 0.5 * max over all anchors of IoU_k``, the
    maximum over all levels together, per level (N, H, W); F^s, F^t = neck features (N, C, H, W).

    Carried over: as for :class:`InsideGT`.

    Unverified: the original (half the sum, weight 0.01, 3x3 conv with ReLU, off for 400
    iterations) was tuned for Faster R-CNN; the dense variant has weight 2 and no adapter. Heads
    of points have no anchors: we lay a square of 8 strides on each, as GFL's anchors are.

    Args:
        weight: 2 in LD's code.
    """

    name = "fine_grained"

    def masks(self, taps: Taps) -> Levels:
        """Locations near an object, ``(N, H_l, W_l)`` bool a level."""
        neck = taps.student.neck
        priors = anchors(taps.student_head, neck)  # (P, 4)
        near = [near_objects(bbox_overlaps(priors, gt.bboxes)) for gt in taps.gt_instances]
        return tuple(level.any(-1) for level in split_levels(torch.stack(near), neck))


def anchors(head: HeadAdapter, levels: Levels) -> Tensor:
    """The head's anchors ``(P, 4)``; for heads of points, squares of 8 strides instead."""
    priors = head.priors(levels)
    if priors.size(1) == 4:
        return priors
    half = 4 * head.stride_of_priors(levels)[:, None]  # (P, 1)
    return torch.cat([priors - half, priors + half], 1)


def near_objects(overlaps: Tensor) -> Tensor:
    """Fine-grained region (Wang et al. 2019): priors that cover a box nearly as well as its best.

    Of IoU ``(P, G)``, ``(P,)`` bool: where it exceeds half of a box's best. A box that no prior
    touches selects nothing.
    """
    return (overlaps > 0.5 * overlaps.amax(0)).any(1)
