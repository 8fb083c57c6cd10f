"""One batch as a pair sees it: the taps, the images, and scores as maps over an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crosskd_lab.heads import HeadAdapter, Levels, Predictions
from crosskd_lab.pair import Pair
from crosskd_lab.taps import Taps, collect


@dataclass(frozen=True)
class Seen:
    """One batch of images and what both detectors make of it, without gradients.

    Attributes:
        taps: All tensors of the student, the teacher and the assigner.
        images: ``(N, H, W, 3)`` RGB bytes, padded as the detectors get them.
        classes: Names of the K classes.
    """

    taps: Taps
    images: NDArray[np.uint8]
    classes: tuple[str, ...]

    def boxes(self, image: int) -> tuple[NDArray[np.float64], list[str]]:
        """Ground truth of an image: ``(G, 4)`` xyxy in its pixels, and G class names."""
        truth = self.taps.gt_instances[image]
        return truth.bboxes.double().cpu().numpy(), [self.classes[k] for k in truth.labels.tolist()]

    def map_of(self, scores: Tensor, image: int) -> NDArray[np.float64]:
        """Scores ``(N, P, K)`` as one map ``(H, W)``: the best over classes and levels.

        Every pixel takes the value of the nearest location of each level, so that a cell of the
        coarsest level is as large in the picture as it is for the detector.
        """
        head = self.taps.teacher_head
        levels = self.taps.teacher.predictions.cls
        best = scores[image].amax(-1)
        return score_map(head, levels, best, self.images.shape[1:3])

    def student_scores(self) -> Tensor:
        """sigma(p^s), ``(N, P, K)``."""
        return _scores(self.taps.student_head, self.taps.student.predictions)

    def teacher_scores(self) -> Tensor:
        """sigma(p^t), ``(N, P, K)``."""
        return _scores(self.taps.teacher_head, self.taps.teacher.predictions)

    def cross_scores(self, i: int) -> Tensor:
        """sigma(p_hat^s) from f_i^s, ``(N, P, K)``, eq. (2)."""
        return _scores(self.taps.teacher_head, self.taps.cross(i, branches=("cls",)))

    def assigned(self) -> Tensor:
        """What the assigner asks of every location, ``(N, P, K)``: one at its object's class."""
        taps = self.taps
        head = taps.student_head
        return HeadAdapter.soft_labels(
            head, taps.student.predictions, taps.targets, list(taps.metas)
        )


@torch.no_grad()
def look(pair: Pair, batch: dict[str, Any], classes: Sequence[str]) -> Seen:
    """Send a batch through both detectors and keep everything.

    Args:
        pair: Student and teacher, in evaluation mode.
        batch: ``inputs`` and ``data_samples`` as :func:`crosskd_lab.lesson.students.held_out`
            gives them.
        classes: Names of the classes.
    """
    taps, _ = collect(pair, batch["inputs"], batch["data_samples"])
    return Seen(taps, _as_bytes(pair, batch["inputs"]), tuple(classes))


def score_map(
    head: HeadAdapter, levels: Levels, scores: Tensor, size: tuple[int, int]
) -> NDArray[np.float64]:
    """One value a location ``(P,)`` to a map ``(H, W)``, the best over levels.

    Args:
        head: Says where its locations are.
        levels: Maps whose last two sizes are those of the levels.
        scores: ``(P,)`` in the head's order of priors.
        size: H and W of the image in pixels.
    """
    best = np.zeros(size)
    start = 0
    for k, level in enumerate(levels):
        high, wide = level.shape[-2:]
        priors = _level_priors(head, levels, k)
        count = len(priors)
        cells = scores[start : start + count].reshape(high, wide, -1).amax(-1)
        centres = priors.reshape(high, wide, -1, priors.size(-1))[:, :, 0]
        centres = (centres[..., :2] + centres[..., -2:]) / 2  # points are their own centre
        rows = _nearest(centres[:, 0, 1], size[0])
        columns = _nearest(centres[0, :, 0], size[1])
        best = np.maximum(best, cells.double().cpu().numpy()[np.ix_(rows, columns)])
        start += count
    return best


def _level_priors(head: HeadAdapter, levels: Levels, k: int) -> Tensor:
    sizes = [level.shape[-2:] for level in levels]
    return head.head.prior_generator.grid_priors(sizes, device=levels[0].device)[k]


def _nearest(centres: Tensor, length: int) -> NDArray[np.int64]:
    """For each pixel the index of the centre next to it."""
    pixels = np.arange(length)[:, None] + 0.5
    return np.abs(pixels - centres.double().cpu().numpy()[None]).argmin(1)


def _scores(head: HeadAdapter, predictions: Predictions) -> Tensor:
    return head.flat_cls(predictions).sigmoid()


def _as_bytes(pair: Pair, inputs: Tensor) -> NDArray[np.uint8]:
    """Undo the normalisation."""
    prepared = pair.student.data_preprocessor
    pixels = (inputs * prepared.std + prepared.mean).round().clamp(0, 255)
    return pixels.byte().permute(0, 2, 3, 1).cpu().numpy()
