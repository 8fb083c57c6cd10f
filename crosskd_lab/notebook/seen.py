"""One batch as a pair sees it: the taps, the images, and scores as maps over an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..heads.dense import HeadAdapter
from ..maps import pixels, score_map, scores_of
from ..pair import Pair
from ..taps import Taps, collect


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
        """Scores ``(N, P, K)`` of an image as one map ``(H, W)``, best of levels and classes."""
        head, levels = self.taps.teacher_head, self.taps.teacher.predictions.cls
        size = (self.images.shape[1], self.images.shape[2])
        return score_map(head, scores[image], levels, size).double().cpu().numpy()

    def student_scores(self) -> Tensor:
        """sigma(p^s), ``(N, P, K)``."""
        return scores_of(self.taps.student_head, self.taps.student.predictions)

    def teacher_scores(self) -> Tensor:
        """sigma(p^t), ``(N, P, K)``."""
        return scores_of(self.taps.teacher_head, self.taps.teacher.predictions)

    def cross_scores(self, i: int) -> Tensor:
        """sigma(p_hat^s) from f_i^s, ``(N, P, K)``, eq. (2)."""
        return scores_of(self.taps.teacher_head, self.taps.cross(i, branches=("cls",)))

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
        batch: ``inputs`` and ``data_samples`` as :func:`crosskd_lab.notebook.students.held_out`
            gives them.
        classes: Names of the classes.
    """
    taps, _ = collect(pair, batch["inputs"], batch["data_samples"])
    return Seen(taps, pixels(pair, batch["inputs"]), tuple(classes))
