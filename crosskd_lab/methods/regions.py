"""Where to imitate: pure functions from boxes, priors and scores to regions.

P priors stand in mmdet's order: level by level, row by row, the A priors of a location last.
Boxes are ``(x1, y1, x2, y2)`` in input pixels. An image without boxes has ``G = 0`` and an empty
region. No gradient comes out of here.
"""

from collections.abc import Sequence

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from ..heads.base import Levels
from ..heads.dense import HeadAdapter


def split_levels(flat: Tensor, levels: Levels) -> Levels:
    """``(N, P, ...)`` per prior to ``(N, H_l, W_l, A, ...)`` per level of maps ``(N, C, H_l,
    W_l)``.
    """
    sizes = [(m.shape[-2], m.shape[-1]) for m in levels]
    a = flat.size(1) // sum(h * w for h, w in sizes)
    parts = flat.split([h * w * a for h, w in sizes], dim=1)  # (N, H_l * W_l * A, ...) a level
    return tuple(part.unflatten(1, (*size, a)) for part, size in zip(parts, sizes, strict=True))


def centres(priors: Tensor) -> Tensor:
    """Centres ``(P, 2)`` of boxes ``(P, 4)``; points ``(P, 2)`` are their own."""
    return priors if priors.size(1) == 2 else (priors[:, :2] + priors[:, 2:]) / 2


def anchors(head: HeadAdapter, levels: Levels) -> Tensor:
    """The head's anchors ``(P, 4)``; for heads of points, squares of 8 strides instead."""
    priors = head.priors(levels)
    if priors.size(1) == 4:
        return priors
    half = 4 * head.stride_of_priors(levels)[:, None]  # (P, 1)
    return torch.cat([priors - half, priors + half], 1)


def inside_boxes(points: Tensor, boxes: Tensor) -> Tensor:
    """``(P,)`` bool: points ``(P, 2)`` strictly inside any of the boxes ``(G, 4)``."""
    points = points[:, None]  # (P, 1, 2)
    return ((points > boxes[:, :2]) & (points < boxes[:, 2:])).all(-1).any(-1)


def near_objects(overlaps: Tensor) -> Tensor:
    """Fine-grained region (Wang et al. 2019): priors that cover a box nearly as well as its best.

    Of IoU ``(P, G)``, ``(P,)`` bool: where it exceeds half of a box's best. A box that no prior
    touches selects nothing.
    """
    return (overlaps > 0.5 * overlaps.amax(0)).any(1)


def diou(priors: Tensor, boxes: Tensor, area: str = "union") -> Tensor:
    """Distance-IoU ``(P, G)``: IoU less squared centre distance over squared hull diagonal.

    Of priors ``(P, 4)`` and boxes ``(G, 4)``; ``area`` is what divides the intersection: "union",
    or "prior" as in LD's released code.
    """
    overlap = bbox_overlaps(priors, boxes, mode={"union": "iou", "prior": "iof"}[area])  # (P, G)
    apart = (centres(priors)[:, None] - centres(boxes)).square().sum(-1)  # (P, G)
    hull = torch.maximum(priors[:, None, 2:], boxes[:, 2:]) - torch.minimum(
        priors[:, None, :2], boxes[:, :2]
    )
    return overlap - apart / hull.square().sum(-1).clamp(min=1e-6)


def atss_threshold(
    overlaps: Tensor, priors: Tensor, boxes: Tensor, counts: Sequence[int], topk: int = 9
) -> Tensor:
    """ATSS's own threshold alpha_pos ``(G,)``: mean + deviation of its candidates' IoU ``(P, G)``.

    Candidates are the ``topk`` priors ``(P, 4)`` a level (of ``counts``) nearest to a box ``(G,
    4)`` by centre.
    """
    distance = torch.cdist(
        centres(priors), centres(boxes), compute_mode="donot_use_mm_for_euclid_dist"
    )
    nearest = [
        near.topk(min(topk, len(near)), dim=0, largest=False).indices + sum(counts[:level])
        for level, near in enumerate(distance.split(list(counts)))
    ]
    candidates = overlaps.gather(0, torch.cat(nearest))  # (C, G)
    return candidates.mean(0) + candidates.std(0)


def valuable_region(
    priors: Tensor, boxes: Tensor, counts: Sequence[int], area: str = "union"
) -> Tensor:
    """Valuable localization region (LD, Zheng et al. 2022): next to positives, but none.

    A prior ``(P, 4)`` belongs to it where ``0.25 * alpha_pos <= DIoU < alpha_pos`` for any box
    ``(G, 4)``. ``(P,)`` is the largest IoU with a box that claims the prior; 0 outside the region.
    For ``counts`` and ``area`` see :func:`atss_threshold` and :func:`diou`.
    """
    if not len(boxes) or not len(priors):
        return priors.new_zeros(len(priors))
    overlaps = bbox_overlaps(priors, boxes)  # (P, G)
    threshold = atss_threshold(overlaps, priors, boxes, counts)  # (G,)
    closeness = diou(priors, boxes, area)  # (P, G)
    claimed = (closeness >= 0.25 * threshold) & (closeness < threshold)
    return (overlaps * claimed).amax(1)


def general_instances(
    gain: Tensor, boxes: Tensor, count: int = 10, threshold: float = 0.3
) -> Tensor:
    """GID's selection (Dai et al. 2021): greedy NMS that stops after ``count`` boxes, ``(B, M)``
    bool.

    ``gain`` ``(B, M)`` is the disagreement of student and teacher, ``boxes`` are ``(B, M, 4)``. It
    costs count * M overlaps where a full NMS would need M * M.
    """
    left, chosen = gain.float().clone(), torch.zeros_like(gain, dtype=torch.bool)
    for _ in range(min(count, gain.size(1))):
        value, best = left.max(1, keepdim=True)  # (B, 1) each
        chosen.scatter_(1, best, chosen.gather(1, best) | (value > -torch.inf))
        winner = boxes.gather(1, best[..., None].expand(-1, -1, 4))  # (B, 1, 4)
        covered = bbox_overlaps(winner, boxes)[:, 0] > threshold  # (B, M)
        left.masked_fill_(covered, -torch.inf).scatter_(1, best, -torch.inf)
    return chosen


def scale_masks(
    boxes: Tensor, size: tuple[int, int], image: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """FGD's masks (Yang et al. 2022): every object, and the background, weighs one in all.

    Of boxes ``(G, 4)``, foreground and background ``(H, W)`` on a map of ``size``, which stands for
    the ``image``'s height and width in pixels. A box's cells, both ends included, hold one over
    their number; where boxes overlap, the smaller object's value stays.
    """
    h, w = size
    scale = boxes.new_tensor([w / image[1], h / image[0]])
    low, high = (boxes[:, :2] * scale).floor(), (boxes[:, 2:] * scale).ceil()
    columns, rows = (torch.arange(n, device=boxes.device)[None] for n in (w, h))
    across = (columns >= low[:, :1]) & (columns <= high[:, :1])  # (G, W)
    down = (rows >= low[:, 1:]) & (rows <= high[:, 1:])  # (G, H)
    inside = down[:, :, None] & across[:, None]  # (G, H, W)
    foreground = boxes.new_zeros(h, w)
    if len(boxes):
        cells = (high - low + 1).clamp(min=1).prod(1)  # (G,)
        foreground = (inside / cells[:, None, None]).amax(0)
    background = (~inside.any(0)).to(boxes.dtype)
    return foreground, background / background.sum().clamp(min=1)
