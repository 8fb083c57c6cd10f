"""What a run does beside training: guard its losses, keep its metrics, keep methods resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from ..errors import LabError
from ..record import append_metrics, trim_metrics

Listener = Callable[[dict[str, Any]], None]


def bare(model: Any) -> Any:
    """The model inside a distributed wrapper, or the model itself."""
    return model.module if is_model_wrapper(model) else model


@HOOKS.register_module()
class LossGuard(Hook):
    """Stops a run at the first loss that is not finite, before a checkpoint can keep the damage."""

    priority = "VERY_HIGH"

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Raise LabError naming the term and the step."""
        for name, value in _numbers(outputs).items():
            if "loss" in name and not math.isfinite(value):
                kept = runner.message_hub.get_info("last_ckpt") if runner.iter else None
                raise LabError(
                    f"step {runner.iter + 1}: {name} is {value}; the run stops and its last "
                    f"good checkpoint is {kept or 'none yet'}; lower schedule.lr or that loss's "
                    "weight and resume"
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
        """Move them back; refuse to go on with another teacher."""
        kept = checkpoint.get("distillation", {})
        then, now = kept.get("teacher"), _teacher_id(runner.model)
        if then and now and then.get("sha256") != now.get("sha256"):
            raise LabError(
                f"this run learnt from teacher {then['checkpoint']} (sha256 {then['sha256']}), and "
                f"{now['checkpoint']} is another file: put the first one back or start a new run"
            )
        checkpoint.get("state_dict", checkpoint).update(kept.get("methods", {}))


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
        row |= {"lr": runner.optim_wrapper.get_lr()["lr"][0]}
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
