"""The hook that measures Fig. 6's distances at every validation."""

from __future__ import annotations

from typing import Any

from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ..analysis.dynamics import ScoreDistances
from .hooks import bare


@HOOKS.register_module()
class Distances(Hook):
    """Adds ``l1_teacher`` and ``l1_truth`` on the first validation images to the metrics.

    With the latter come its two parts, ``l1_truth_positive`` and ``l1_truth_background``.

    Does nothing for a model without a teacher, or whose head is not dense.

    Args:
        images: How many validation images to measure on.
        batch: Images a forward pass.
    """

    priority = "NORMAL"  # before RunMetrics writes the row

    def __init__(self, images: int = 64, batch: int = 16) -> None:
        self.images, self.batch = images, batch
        self._distances: ScoreDistances | None = None

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Measure, on the model that has just been validated (in evaluation mode)."""
        model = bare(runner.model)
        pair = getattr(model, "pair", None)
        if pair is None or metrics is None or pair.student_head.family != "dense":
            return
        if self._distances is None:
            dataset = runner.val_loop.dataloader.dataset
            chosen = range(min(self.images, len(dataset)))
            samples = [dataset[i] for i in chosen]
            batches = [samples[i : i + self.batch] for i in range(0, len(samples), self.batch)]
            self._distances = ScoreDistances(
                model.pair, [model.data_preprocessor(pseudo_collate(b)) for b in batches]
            )
        metrics.update(self._distances.measure())
