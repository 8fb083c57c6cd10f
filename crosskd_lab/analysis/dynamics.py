"""Fig. 6: how far the student's scores are from the teacher's and from the ground truth's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from mmdet.models.utils import unpack_gt_instances
from torch import Tensor

from ..heads import HeadAdapter, Predictions, Targets
from ..pair import Pair
from .assignment import assigned, is_dynamic


def l1_distance(scores: Tensor, reference: Tensor, num_pos: float) -> float:
    """L1 distance between two score maps, per positive location.

    The sum of absolute differences over locations and classes, divided by the number of
    positives. The paper plots an 'average L1 distance' without naming its denominator; a mean over
    all locations would be the same curve on a scale that shrinks with the share of background.

    Args:
        scores: ``(N, P, K)`` in [0, 1].
        reference: ``(N, P, K)`` in [0, 1].
        num_pos: Positive locations in the batch; 0 counts as 1.
    """
    return float((scores - reference).abs().sum() / max(num_pos, 1.0))


def l1_parts(scores: Tensor, reference: Tensor, positive: Tensor) -> tuple[float, float]:
    """The sum of absolute differences at positive locations, and that at all others.

    Together they are what :func:`l1_distance` adds up. Background is nearly all of an image, and
    its target is 0 in every class: the second sum is the student's scores there, so a student that
    scores background low has a small distance wherever the objects are.

    Args:
        scores: ``(N, P, K)`` in [0, 1].
        reference: ``(N, P, K)`` in [0, 1].
        positive: ``(N, P)``, boolean: which locations the student's assigner made positive.
    """
    apart = (scores - reference).abs().sum(-1)
    return float(apart[positive].sum()), float(apart[~positive].sum())


class ScoreDistances:
    """Measures L1(p^s, p^t) and L1(p^s, p^gt) on a fixed sample of images.

    The teacher is frozen, so its scores are computed once and kept. So is the answer of an
    assigner that looks at no predictions.

    Args:
        pair: Student and teacher.
        batches: Preprocessed batches, each ``dict(inputs, data_samples)`` with ground truth in
            input pixels.
    """

    def __init__(self, pair: Pair, batches: Sequence[dict[str, Any]]) -> None:
        self.pair, self.batches = pair, batches
        self.teacher_scores: list[Tensor] = []
        self.targets: list[Targets | None] = [None] * len(batches)

    @torch.no_grad()
    def measure(self, said: Sequence[Predictions | None] = ()) -> dict[str, float]:
        """``l1_teacher`` and ``l1_truth``, each per positive location, over all batches.

        Args:
            said: The student's predictions on every batch where they are known already; where one
                is None, or by default, the student is run.

        ``l1_truth`` is the sum of ``l1_truth_positive``, at positive locations, and
        ``l1_truth_background``, at all others; both are divided by the number of positives.

        The student is read in the mode it is in; call it in evaluation mode. Heads with unlike
        numbers of priors a location are compared at locations, by their priors' largest scores;
        ``l1_teacher`` is left out where their levels differ, and nothing is measured without a
        positive location.
        """
        if not self.teacher_scores:
            self.teacher_scores = [
                _scores(self.pair.teacher, self.pair.teacher_head, batch) for batch in self.batches
            ]
        head = self.pair.student_head
        to_teacher = at_positives = at_background = positives = 0.0
        comparable = True
        known = said or [None] * len(self.batches)
        for k, teacher in enumerate(self.teacher_scores):
            scores, truth, targets = self._look(k, known[k])
            positive = targets.positive
            sides = scores, teacher
            if scores.shape != teacher.shape:
                sides = _by_location(scores, head), _by_location(teacher, self.pair.teacher_head)
            comparable = comparable and sides[0].shape == sides[1].shape
            if comparable:
                to_teacher += l1_distance(*sides, 1)
            parts = l1_parts(scores, truth, positive)
            at_positives, at_background = at_positives + parts[0], at_background + parts[1]
            positives += float(positive.sum())
        if not positives:
            return {}
        count = positives
        measured = {
            "l1_truth": (at_positives + at_background) / count,
            "l1_truth_positive": at_positives / count,
            "l1_truth_background": at_background / count,
        }
        return {"l1_teacher": to_teacher / count, **measured} if comparable else measured

    def _look(self, k: int, said: Predictions | None) -> tuple[Tensor, Tensor, Targets]:
        """Scores, truth and targets of one batch; targets that cannot change are kept."""
        found = look(self.pair, self.batches[k], said, self.targets[k])
        if found[2].quality is None and not is_dynamic(self.pair.student_head):
            self.targets[k] = found[2]
        return found


@torch.no_grad()
def look(
    pair: Pair,
    batch: dict[str, Any],
    said: Predictions | None = None,
    targets: Targets | None = None,
) -> tuple[Tensor, Tensor, Targets]:
    """The student's scores p^s, the targets p^gt that its assigner gives, and all else it says.

    Args:
        pair: Its student is read in the mode it is in.
        batch: Preprocessed, ``dict(inputs, data_samples)`` with ground truth in input pixels.
        said: The student's predictions on it; by default the student is run.
        targets: The assigner's answer; by default it is asked.

    Returns:
        ``(N, P, K)`` and ``(N, P, K)`` in [0, 1], and the targets.
    """
    head = pair.student_head
    truths, ignored, metas = unpack_gt_instances(batch["data_samples"])
    said = said or head.walk(pair.student.extract_feat(batch["inputs"])).predictions
    targets = targets or assigned(head, said, truths, metas, ignored)
    return head.flat_cls(said).sigmoid(), head.soft_labels(said, targets, metas), targets


def turned_down(
    scores: Tensor, truth: Tensor, positive: Tensor, factors: Sequence[float]
) -> pd.DataFrame:
    """L1(p^s, p^gt) and its parts if every score were multiplied by a factor.

    Average precision asks only in which order detections come, and a common factor changes no
    order; so whatever changes here is nothing that AP would see.

    Args:
        scores: ``(N, P, K)`` in [0, 1].
        truth: ``(N, P, K)`` in [0, 1].
        positive: ``(N, P)``, boolean.
        factors: From 0 to 1.

    Returns:
        A row a factor: ``factor, l1_truth, l1_truth_positive, l1_truth_background``, per positive.
    """
    count = max(float(positive.sum()), 1.0)
    rows = []
    for factor in factors:
        own, background = l1_parts(factor * scores, truth, positive)
        rows.append((factor, (own + background) / count, own / count, background / count))
    parts = ["l1_truth", "l1_truth_positive", "l1_truth_background"]
    return pd.DataFrame(rows, columns=["factor", *parts])


def _by_location(scores: Tensor, head: HeadAdapter) -> Tensor:
    """The largest score of a location's priors, ``(N, P / A, K)``."""
    return scores.unflatten(1, (-1, head.anchors)).amax(2)


def _scores(detector: Any, head: HeadAdapter, batch: dict[str, Any]) -> Tensor:
    predictions = head.walk(detector.extract_feat(batch["inputs"])).predictions
    return head.flat_cls(predictions).sigmoid()
