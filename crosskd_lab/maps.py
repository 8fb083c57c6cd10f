"""Values at a head's locations as maps over the image, whatever its anchors are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .heads.base import Levels, Predictions
from .heads.dense import HeadAdapter
from .pair import Pair


@dataclass(frozen=True)
class View:
    """One image ``(H, W, 3)`` of RGB bytes, padded as the detectors get it, with its boxes
    ``(G, 4)``, xyxy in its pixels, and maps ``(H, W)`` over it by title."""

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    maps: dict[str, NDArray[np.float32]]


def level_sizes(levels: Levels) -> list[int]:
    """Number of locations of every level: H_l * W_l of maps ``(N, C, H_l, W_l)``."""
    return [m.shape[-2] * m.shape[-1] for m in levels]


def by_location(values: Tensor, levels: Levels) -> Tensor:
    """Values at priors ``(N, P, ...)`` as ``(N, R, A, ...)``: A priors at each of R locations."""
    return values.unflatten(1, (sum(level_sizes(levels)), -1))


def centres(head: HeadAdapter, levels: Levels) -> tuple[Tensor, ...]:
    """Where the locations of every level are: ``(H_l, W_l, 2)``, x and y in input pixels."""
    priors = head.priors(levels)
    middle = (priors[:, :2] + priors[:, -2:]) / 2  # (P, 2): a point is its own middle
    sizes = level_sizes(levels)
    parts = middle.view(sum(sizes), -1, 2)[:, 0].split(sizes)
    return tuple(part.view(*m.shape[-2:], 2) for part, m in zip(parts, levels, strict=True))


def on_image(
    values: Sequence[Tensor], where: Sequence[Tensor], size: tuple[int, int], share: bool = False
) -> Tensor:
    """Every level resized to the image: each pixel takes the value of the nearest location.

    ``values`` are ``(H_l, W_l)`` per level, at :func:`centres` ``where``; the result ``(L, H, W)``.
    ``share`` divides a location's value among its pixels, so that sums stay what they were.
    """
    maps = []
    for value, centre in zip(values, where, strict=True):
        rows = _nearest(centre[:, 0, 1], size[0])
        columns = _nearest(centre[0, :, 0], size[1])
        if share:
            high = torch.bincount(rows, minlength=len(value)).clamp(min=1)
            wide = torch.bincount(columns, minlength=value.shape[1]).clamp(min=1)
            value = value / (high[:, None] * wide)
        maps.append(value[rows][:, columns])
    return torch.stack(maps)


def score_map(head: HeadAdapter, scores: Tensor, levels: Levels, size: tuple[int, int]) -> Tensor:
    """Fig. 2: class scores of all levels resized to ``(H, W)``, the maximum over both.

    ``scores`` in [0, 1] are ``(P, K)`` at the head's priors on one image, or ``(R, K)`` at its
    locations; ``levels`` are maps whose last two sizes are those of the levels.
    """
    best = by_location(scores[None], levels)[0].amax((-2, -1)).split(level_sizes(levels))
    shaped = [b.view(m.shape[-2:]) for b, m in zip(best, levels, strict=True)]
    return on_image(shaped, centres(head, levels), size).amax(0)


def scores_of(head: HeadAdapter, predictions: Predictions) -> Tensor:
    """sigma(p), ``(N, P, K)``."""
    return head.flat_cls(predictions).sigmoid()


def pixels(pair: Pair, inputs: Tensor) -> NDArray[np.uint8]:
    """Normalised inputs ``(N, 3, H, W)`` as the RGB bytes ``(N, H, W, 3)`` that they came from."""
    prepared = pair.student.data_preprocessor  # one that does not normalise has no mean
    restored = inputs * getattr(prepared, "std", 1) + getattr(prepared, "mean", 0)
    if not getattr(prepared, "_channel_conversion", False):  # files are read as BGR
        restored = restored.flip(1)
    return restored.round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()


def view(pair: Pair, batch: Mapping[str, Any], maps: Mapping[str, Tensor], image: int = 0) -> View:
    """One image of a preprocessed batch with its boxes and maps ``(H, W)``."""
    boxes = batch["data_samples"][image].gt_instances.bboxes.cpu().numpy()
    drawn = {name: values.detach().cpu().numpy() for name, values in maps.items()}
    return View(pixels(pair, batch["inputs"])[image], boxes, drawn)


def _nearest(positions: Tensor, length: int) -> Tensor:
    """For each pixel, whose middle is at its index + 0.5, the index of the nearest position."""
    pixels = torch.arange(length, device=positions.device) + 0.5
    return (pixels[:, None] - positions).abs().argmin(1)
