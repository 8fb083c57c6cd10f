"""What a run does beside training: guard its losses, keep its metrics, keep methods resumable."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from ..errors import LabError
from ..pair import without_prefixes
from ..record import append_metrics, trim_metrics
from .saves import last_checkpoint

Listener = Callable[[dict[str, Any]], None]


def bare(model: Any) -> Any:
    """The model inside a distributed wrapper, or the model itself."""
    return model.module if is_model_wrapper(model) else model


@HOOKS.register_module()
class LossGuard(Hook):
    """Stops a run at the first number that is not finite, before a checkpoint can keep it."""

    priority = "VERY_HIGH"

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Raise LabError naming the loss term and the step."""
        losses = {name: value for name, value in _numbers(outputs).items() if "loss" in name}
        for name in sorted(losses, key="loss".__eq__):  # the sum last: its culprit is a term
            if not math.isfinite(losses[name]):
                raise LabError(_stopped(runner, f"{name} is {losses[name]}"))

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Raise LabError naming a weight: a step with finite losses can still overflow one."""
        for name, weight in checkpoint["state_dict"].items():
            if not weight.isfinite().all():
                raise LabError(_stopped(runner, f"weight {name} is no longer finite"))


def _stopped(runner: Any, what: str) -> str:
    """What happened, what is left of the run, and how to go on from there."""
    kept = last_checkpoint(runner.work_dir)
    step = f"step {runner.iter + 1}: {what}; "
    if kept is None:
        return (
            f"{step}the run stops before its first checkpoint: start another with a lower "
            "schedule.lr, or a smaller weight of that loss"
        )
    return (
        f"{step}the run stops, its last good checkpoint is {kept}: go on from there in another "
        f"folder with a lower rate, --set load_from={kept} --set schedule.lr=... --out ..."
    )


@HOOKS.register_module()
class MethodState(Hook):
    """Keeps methods' trainable parts resumable while saved students stay stock.

    They travel beside the state dict, not in it, with the id of the teacher they learnt from.
    """

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Move ``methods.*`` out of the student's state dict."""
        weights = checkpoint["state_dict"]
        own = [key for key in weights if key.startswith("methods.")]
        checkpoint["distillation"] = {
            "methods": {key: weights.pop(key) for key in own},
            "teacher": _teacher_id(runner.model),
        }

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Move them back, if this run has the same ones; refuse weights that do not fit.

        mmengine itself would pass over what does not fit with a line in its log.

        Raises:
            LabError: if the detector's weights are not exactly these, or a run would be resumed
                with another teacher.
        """
        kept = checkpoint.get("distillation", {})
        then, now = kept.get("teacher"), _teacher_id(runner.model)
        if runner._resume and then and now and then.get("sha256") != now.get("sha256"):
            raise LabError(
                f"this run learnt from teacher {then['checkpoint']} (sha256 {then['sha256']}), and "
                f"{now['checkpoint']} is another file: put the first one back or start a new run"
            )
        weights = checkpoint.get("state_dict", checkpoint)
        own = {name: value.shape for name, value in bare(runner.model).state_dict().items()}
        parts = {name for name in own if name.startswith("methods.")}
        stock = {name: own[name] for name in own.keys() - parts}
        bare_names, said = without_prefixes(weights, stock)
        if said and runner.rank == 0:
            print(f"the checkpoint: {said}", file=sys.stderr)
        weights.clear()
        weights.update(bare_names)
        _expect_shapes(weights, stock)
        methods = kept.get("methods", {})
        if methods.keys() == parts and all(methods[name].shape == own[name] for name in parts):
            weights.update(methods)


def _expect_shapes(weights: dict[str, Any], expected: dict[str, Any]) -> None:
    wrong = sorted(weights.keys() ^ expected.keys())
    wrong += sorted(k for k in weights.keys() & expected.keys() if weights[k].shape != expected[k])
    if wrong:
        raise LabError(
            f"the checkpoint does not fit the detector: {wrong[0]} is missing, left over or of "
            f"another shape ({len(wrong)} such weights): name one of the same config"
        )


@HOOKS.register_module()
class RunMetrics(Hook):
    """Writes the run's metrics and tells listeners of every row.

    Args:
        every: Steps between rows of training losses.
    """

    priority = "LOW"

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self.listeners: list[Listener] = []
        self._clock = 0.0

    def before_train(self, runner: Any) -> None:
        """Drop the rows that a resumed run is about to write again."""
        if runner.rank == 0:
            trim_metrics(runner.work_dir, runner.iter)
        self._clock = time.perf_counter()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Every so many steps: each loss, the rate and the seconds a step."""
        step = runner.iter + 1
        if step % self.every:
            return
        now = time.perf_counter()
        row = _numbers(outputs)
        row |= {"lr": max(runner.optim_wrapper.get_lr()["lr"])}
        row |= {"seconds_per_step": (now - self._clock) / self.every}
        self._clock = now
        self._tell(runner, {"step": step, "kind": "train", **row})

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """After a validation: AP and whatever other hooks have measured."""
        row = {k: v for k, v in (metrics or {}).items() if v is not None and v >= 0}
        self._tell(runner, {"step": runner.iter, "kind": "val", **row})
        self._clock = time.perf_counter()

    def _tell(self, runner: Any, row: dict[str, Any]) -> None:
        if runner.rank == 0:
            append_metrics(runner.work_dir, row)
        for listener in self.listeners:
            listener(row)


def _numbers(outputs: Any) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in (outputs or {}).items()}


def _teacher_id(model: Any) -> dict[str, Any] | None:
    pair = getattr(bare(model), "pair", None)
    return pair.teacher_id if pair is not None else None
