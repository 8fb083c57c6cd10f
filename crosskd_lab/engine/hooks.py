"""What a run does beside training: guard losses, keep metrics and checkpoints, say how it ended."""

import math
import re
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import broadcast_object_list, get_rank, get_world_size, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import Hook, RuntimeInfoHook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop

from ..errors import LabError, tell_once
from ..files import write_whole
from ..pair import in_full
from .record import (
    RECORD,
    append_metrics,
    finish_record,
    read_metrics,
    read_record,
    trim_metrics,
)

PEER_LOST = "another process of this run is gone"
PEER_WORDS = ("gloo", "nccl", "connection closed by peer", "connection reset by peer")


def record_stop(folder: str | Path, reason: str) -> None:
    """Close the record of a run that could have gone on.

    The first process writes it, and never over a failure that another one has written: that one's
    end is what this one met. That a peer is gone gives way to why.
    """
    folder = Path(folder)
    if not is_main_process() or not (folder / RECORD).exists():
        return
    record = read_record(folder)
    if record["status"] == "running" or record.get("reason") == PEER_LOST:
        finish_record(folder, "stopped", reason=reason)


def record_fault(folder: str | Path, error: BaseException) -> None:
    """Close the record of a run that met an error, in whichever of its processes.

    A fault of its own makes it "failed", and it would only fail again; a lost peer "stopped".
    """
    folder = Path(folder)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if get_world_size() > 1 and peer_was_lost(error):
        record_stop(folder, PEER_LOST)
    elif (folder / RECORD).exists():
        where = "" if is_main_process() else f" (process {get_rank()} of {get_world_size()})"
        finish_record(folder, "failed", reason=lines[0] + where)


def peer_was_lost(error: BaseException) -> bool:
    """Whether an error only says that another process is gone or cannot be reached."""
    if isinstance(error, torch.distributed.DistError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in said for word in PEER_WORDS)


@contextmanager
def terminated_as_exit() -> Iterator[None]:
    """A polite kill, or a terminal that closes (SIGTERM, SIGHUP), ends a run as Ctrl-C does, with
    its record closed; ``nohup`` goes before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP)}
    for one in before:
        if before[one] != signal.SIG_IGN:
            signal.signal(one, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler or signal.SIG_DFL)


WHOLE = "whole"
"""Name of the storage backend by which mmengine writes checkpoints."""

_SAVED = re.compile(r"(iter|epoch)_(\d+)\.pth")


class WholeFiles(LocalBackend):
    """mmengine's local files, but a kill while one is written leaves no part of it."""

    def put(self, obj: Any, filepath: str | Path) -> None:
        """Write bytes to a file."""
        write_whole(filepath, bytes(obj))


register_backend(WHOLE, WholeFiles, force=True)


def last_checkpoint(folder: str | Path) -> Path | None:
    """The newest whole checkpoint of a run's folder, None before the first.

    By the number in its name: mmengine's own note of it holds a path that ends with a move. A file
    that a broken disk has cut short is passed over, with a line; LabError if all are.
    """
    saved = [path for path in Path(folder).glob("*.pth") if _SAVED.fullmatch(path.name)]
    damaged: list[Path] = []
    for path in sorted(saved, key=saved_step, reverse=True):
        if zipfile.is_zipfile(path):
            for one in damaged:
                tell_once(f"{one} is damaged: {path.name} is taken instead")
            return path
        damaged.append(path)
    if damaged:
        names = ", ".join(path.name for path in damaged)
        raise LabError(f"{folder}: {names} damaged, none is whole: remove them to start anew")
    return None


def need_checkpoint(folder: str | Path) -> Path:
    """The newest whole checkpoint of a run's folder; LabError before the first."""
    if newest := last_checkpoint(folder):
        return newest
    raise LabError(f"{folder} holds no checkpoint: name a run that has saved one")


def saved_step(checkpoint: str | Path | None) -> int:
    """The step in a checkpoint's name; 0 for none."""
    match = _SAVED.fullmatch(Path(checkpoint or "").name)
    return int(match[2]) if match else 0


def steps_done(folder: str | Path) -> int:
    """Training steps up to a run's newest whole checkpoint, which may count epochs; 0 before."""
    newest = last_checkpoint(folder)
    if newest is None or newest.name.startswith("iter_"):
        return saved_step(newest)
    rows = read_metrics(folder)
    return int(rows["step"].max()) if len(rows) else 0


Listener = Callable[[dict[str, Any]], None]


def bare(model: Any) -> Any:
    """The model inside a distributed wrapper, or the model itself."""
    return model.module if is_model_wrapper(model) else model


@HOOKS.register_module()
class RunInfo(RuntimeInfoHook):
    """mmengine's, which leaves it to :class:`LossGuard` to read the losses."""

    def after_train_iter(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""


@HOOKS.register_module()
class LossGuard(Hook):
    """Stops a run at the first loss or weight that is not finite, before a checkpoint keeps it.

    To read a number is to wait for the GPU. So losses and norms of gradients are read, all at once,
    ``every`` so many steps (0: at each on a CPU, at every tenth on a GPU), where their step's are
    written down, and before a checkpoint; mmengine's log gets them from here.
    """

    priority = "VERY_HIGH"

    def __init__(self, every: int = 0) -> None:
        self.every = every or (10 if torch.cuda.is_available() else 1)
        self.unread: list[tuple[int, dict[str, torch.Tensor]]] = []
        self.norm: dict[str, Any] = {}

    def before_train(self, runner: Any) -> None:
        """Have the optimiser keep its gradients' norm here, for mmengine would read it."""
        optimiser = runner.optim_wrapper
        clip: Any = getattr(optimiser, "clip_func", None)
        if clip is None:
            return

        def clip_and_keep(*args: Any, **kwargs: Any) -> None:
            norm = clip(*args, **kwargs)
            self.norm = {} if norm is None else {optimiser.grad_name: norm}

        optimiser.clip_func = clip_and_keep

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Keep a step's numbers, or read them with those kept."""
        step = runner.iter + 1
        kept = {name: value.detach() for name, value in {**(outputs or {}), **self.norm}.items()}
        self.unread.append((step, kept))
        if step % self.every == 0 or getattr(bare(runner.model), "logged", False):
            self.read(runner)

    def read(self, runner: Any) -> None:
        """Raise LabError naming the first loss term that is not finite, and its step."""
        unread, self.unread = self.unread, []
        values = [value.double() for _, row in unread for value in row.values()]
        there = [value.to(values[0].device) for value in values]
        numbers = iter(torch.stack(there).tolist() if there else [])
        for step, row in unread:
            found = {name: next(numbers) for name in row}
            losses = [name for name in found if "loss" in name]
            for name in sorted(losses, key="loss".__eq__):  # the sum last: its culprit is a term
                if not math.isfinite(found[name]):
                    raise LabError(_stopped(runner, step, f"{name} is {found[name]}"))
            for name, number in found.items():
                runner.message_hub.update_scalar(f"train/{name}", number)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Raise LabError naming a weight: a step with finite losses can still overflow one."""
        self.read(runner)
        for name, weight in checkpoint["state_dict"].items():
            if not weight.isfinite().all():
                raise LabError(
                    _stopped(runner, runner.iter + 1, f"weight {name} is no longer finite")
                )


def _stopped(runner: Any, number: int, what: str) -> str:
    """What happened, what is left of the run, and how to go on from there."""
    stopped = f"step {number}: {what}; the run stops"
    if kept := last_checkpoint(runner.work_dir):
        return (
            f"{stopped}, its last good checkpoint is {kept}: go on from there in another folder "
            f"with a lower rate, --set load_from={kept} --set schedule.lr=... --out ..."
        )
    return f"{stopped} before its first checkpoint: start another with a lower schedule.lr"


@HOOKS.register_module()
class MethodState(Hook):
    """Keeps methods' trainable parts resumable while saved students stay stock.

    They travel beside the state dict, not in it, with the id of the teacher they learnt from.
    """

    priority = "BELOW_NORMAL"  # after mmengine's EMAHook, which swaps a student and its average

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Move ``methods.*`` out of the student's state dict."""
        weights, average = checkpoint["state_dict"], checkpoint.get("ema_state_dict", {})
        own = {key: weights.pop(key) for key in [*weights] if key.startswith("methods.")}
        checkpoint["distillation"] = {
            "methods": {key: average.pop(f"module.{key}", own[key]) for key in own},
            "teacher": _teacher_id(runner.model),
        }

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Move them back, if this run has the same ones.

        LabError where the detector's weights are not exactly these (mmengine itself would pass over
        them with a line in its log), or the run had another teacher.
        """
        kept = checkpoint.get("distillation", {})
        then, now = kept.get("teacher"), _teacher_id(runner.model)
        if runner._resume and then and now and then.get("sha256") != now.get("sha256"):
            raise LabError(
                f"this run learnt from teacher {then['checkpoint']} (sha256 {then['sha256']}), and "
                f"{now['checkpoint']} is another file: put the first one back or start a new run"
            )
        weights = checkpoint.get("state_dict", checkpoint)
        own = bare(runner.model).state_dict()
        parts = {name for name in own if name.startswith("methods.")}
        stock = {name: own[name] for name in own.keys() - parts}
        fitting = in_full(weights, stock, "of this run" if runner._resume else "load_from")
        weights.clear()
        weights.update(fitting)
        methods = kept.get("methods", {})
        if methods.keys() == parts and all(
            methods[name].shape == own[name].shape for name in parts
        ):
            weights.update(methods)
        elif methods:
            what = "what methods learn starts anew" if parts else "no method here learns"
            tell_once(f"the checkpoint's methods are other ones: {what}")


@HOOKS.register_module()
class RunMetrics(Hook):
    """Writes the run's metrics (losses ``every`` so many steps) and tells listeners each row."""

    priority = "LOW"

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self.listeners: list[Listener] = []
        self._clock, self._since = 0.0, 0

    def before_train(self, runner: Any) -> None:
        """Drop the rows that a resumed run is about to write again."""
        if runner.rank == 0:
            trim_metrics(runner.work_dir, runner.iter)
        self._start_clock(runner, runner.iter)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Tell a distiller whether this step's numbers will be written."""
        bare(runner.model).logged = (runner.iter + 1) % self.every == 0

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Every so many steps: each loss and measure, the rate and the seconds a step."""
        step = runner.iter + 1
        if step % self.every:
            return
        now = _working_seconds(runner)
        row = {name: float(value.detach()) for name, value in (outputs or {}).items()}
        row |= {"lr": max(runner.optim_wrapper.get_lr()["lr"])}
        row |= {"seconds_per_step": (now - self._clock) / (step - self._since)}
        self._start_clock(runner, step)
        self._tell(runner, {"step": step, "kind": "train", **row})

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """After a validation: AP and whatever other hooks have measured."""
        row = {k: v for k, v in (metrics or {}).items() if v is not None and v >= 0}
        self._tell(runner, {"step": runner.iter, "kind": "val", **row})
        self._start_clock(runner, runner.iter)

    def _start_clock(self, runner: Any, step: int) -> None:
        """Count seconds from here, after so many steps of the run."""
        self._clock, self._since = _working_seconds(runner), step

    def _tell(self, runner: Any, row: dict[str, Any]) -> None:
        if runner.rank == 0:
            append_metrics(runner.work_dir, row)
        for listener in self.listeners:
            listener(row)


@HOOKS.register_module()
class CutValidation(Hook):
    """Makes up for a validation that a kill has cut short: its checkpoint comes before it."""

    priority = "LOWEST"  # when all others are ready for one

    def before_train(self, runner: Any) -> None:
        """Validate where a resumed run begins, if that was due and has left no row."""
        lacks = [runner.rank == 0 and runner.iter > 0 and self._lacks(runner)]
        broadcast_object_list(lacks)
        if lacks[0]:
            runner.val_loop.run()

    def _lacks(self, runner: Any) -> bool:
        loop, newest = runner.train_loop, last_checkpoint(runner.work_dir)
        if runner.val_loop is None or newest is None:
            return False
        at, last = loop.iter, loop.max_iters
        if isinstance(loop, EpochBasedTrainLoop):
            at, last = loop.epoch, loop.max_epochs
            if not newest.name.startswith("epoch_"):
                return False  # within an epoch, which begins anew
        loop._decide_current_val_interval()  # it changes in some schedules
        if at < loop.val_begin or (at % loop.val_interval and at != last):
            return False
        rows = read_metrics(runner.work_dir)
        return rows.empty or not ((rows["kind"] == "val") & (rows["step"] == runner.iter)).any()


def _working_seconds(runner: Any) -> float:
    """A clock that stands while other runs of this process work."""
    turn = getattr(runner.train_loop, "turn", None)
    return time.perf_counter() - (turn.waited if turn else 0.0)


def _teacher_id(model: Any) -> dict[str, Any] | None:
    pair = getattr(bare(model), "pair", None)
    return pair.teacher_id if pair is not None else None
