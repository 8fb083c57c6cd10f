"""The hook that measures Fig. 6's distances at every validation."""

from __future__ import annotations

from typing import Any

from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ..analysis.dynamics import ScoreDistances
from ..heads import HeadAdapter, Predictions
from .hooks import bare


@HOOKS.register_module()
class Distances(Hook):
    """Adds ``l1_teacher`` and ``l1_truth`` on the first validation images to the metrics.

    With the latter come its two parts, ``l1_truth_positive`` and ``l1_truth_background``. The
    student is not run a second time: its head is listened to while the validation runs it (in one
    process, where the first batches hold the first images, and for heads whose outputs are their
    predictions as they stand).

    Does nothing for a model without a teacher, or whose head is not dense.

    Args:
        images: How many validation images to measure on, to be rounded up to whole batches.
    """

    priority = "NORMAL"  # before RunMetrics writes the row

    def __init__(self, images: int = 64) -> None:
        self.images = images
        self._distances: ScoreDistances | None = None
        self._said: list[Predictions] = []
        self._ear: Any = None

    def before_val_epoch(self, runner: Any) -> None:
        """Begin to listen to the student's head."""
        self._stop_listening()
        self._said = []
        pair = _dense_pair(runner)
        if pair is None or runner.distributed:
            return
        if type(pair.student_head).outputs is HeadAdapter.outputs:
            self._ear = pair.student_head.head.register_forward_hook(self._listen)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Measure, on the model that has just been validated (in evaluation mode)."""
        self._stop_listening()
        pair = _dense_pair(runner)
        if pair is None or metrics is None:
            return
        if self._distances is None:
            self._distances = self._begin(runner, pair)
        batches = self._distances.batches
        sizes = [len(batch["data_samples"]) for batch in batches]
        heard = self._said[: len(batches)]
        fits = [len(said.cls[0]) for said in heard] == sizes
        metrics.update(self._distances.measure(heard if fits else ()))
        self._said = []

    def _begin(self, runner: Any, pair: Any) -> ScoreDistances:
        loader, model = runner.val_loop.dataloader, bare(runner.model)
        count, size = min(self.images, len(loader.dataset)), loader.batch_size or 1
        count = min(-(-count // size) * size, len(loader.dataset))
        samples = [loader.dataset[i] for i in range(count)]
        batches = [samples[i : i + size] for i in range(0, count, size)]
        return ScoreDistances(
            pair, [model.data_preprocessor(pseudo_collate(batch)) for batch in batches]
        )

    def _listen(self, head: Any, given: Any, said: Any) -> None:
        if sum(len(one.cls[0]) for one in self._said) < self.images:
            self._said.append(Predictions(*map(tuple, said)))

    def _stop_listening(self) -> None:
        if self._ear is not None:
            self._ear.remove()
            self._ear = None


def _dense_pair(runner: Any) -> Any:
    """The pair of a model that distils a dense head; None for any other model."""
    pair = getattr(bare(runner.model), "pair", None)
    return pair if pair is not None and pair.student_head.family == "dense" else None
