"""Does the code still do what it did? The first steps of a recorded row, made again.

Code changes in form more often than in effect. A record keeps the losses of its run's first steps;
where the code of today gives the same, within rounding, the record is *confirmed* for that code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mmengine.hooks import Hook

from .declared import CONFIRMED, RECORDED, Sweep, latest, read_confirmed, read_lines, texts_of
from .experiment import load_experiment
from .files import write_whole
from .provenance import PACKAGE, code_version
from .substance import code_of
from .sweep import scenes_of
from .training import prepare_engine
from .training.run import build_runner

CLOSE = 2e-3
"""How much losses may differ in relative terms: rounding differs between machines, and grows with
every step."""
TRAINS_NOT = ("evaluate.py", "training/metric.py")
"""Code that the first steps do not try out; a change in it stays a change."""


class _Keep(Hook):
    """Keeps the losses of the last step."""

    last: dict[str, float]

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.last = {name: float(value.detach()) for name, value in (outputs or {}).items()}


def first_losses_again(
    sweep: Sweep, line: dict[str, Any], data: Path | None = None
) -> dict[str, float]:
    """Run the first steps of a recorded run again; the losses of the same step.

    Args:
        sweep: The sweep that the record is of.
        line: A record that is done.
        data: What it trained on; made if not given.
    """
    prepare_engine()
    data = data or scenes_of(sweep)[0]
    with threads_of(line):
        return _first_losses(line, data)


@contextmanager
def threads_of(line: dict[str, Any]) -> Iterator[None]:
    """As many threads as a record's run had: how sums are split decides how they are rounded."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(line["threads"]))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _first_losses(line: dict[str, Any], data: Path) -> dict[str, float]:
    cfg = load_experiment(line["config"], line["settings"], data, line["seed"])
    cfg.train_cfg.max_iters = int(line["begin"]["step"])
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None  # nothing to validate so early
    cfg.default_hooks.checkpoint = dict(type="CheckpointHook", by_epoch=False, interval=10**9)
    keep = _Keep()
    with TemporaryDirectory() as folder:
        runner = build_runner(cfg, folder)
        runner.register_hook(keep, "LOWEST")
        runner.train()
    return keep.last


def difference(begin: dict[str, float], again: dict[str, float]) -> float:
    """The largest relative difference between a record's first losses and those made again.

    Infinite where the names differ.
    """
    names = set(begin) - {"step"}
    if not names or names != {name for name in again if "loss" in name}:
        return math.inf
    return max(abs(again[n] - begin[n]) / max(abs(begin[n]), 1e-6) for n in names)


def recheck(
    sweep: Sweep, only: Iterable[str] = (), recorded: str | Path = RECORDED
) -> list[tuple[str, float]]:
    """Make the first steps of every recorded row again, with its first seed, and keep what agrees.

    Args:
        sweep: See :func:`crosskd_lab.declared.read_sweep`.
        only: Names of rows; all by default.
        recorded: Folder of the records; ``confirmed.json`` in it is what this writes.

    Returns:
        Name and :func:`difference` of each row that has a record; up to ``CLOSE`` it is confirmed.
    """
    known = latest(read_lines(recorded))
    chosen = list(only)
    found = []
    for row in sweep.rows:
        lines = [known.get((row.key, seed)) for seed in sweep.seeds]
        line = next((x for x in lines if x and x["status"] == "done" and x.get("begin")), None)
        if line is None or (chosen and row.name not in chosen):
            continue
        apart = difference(line["begin"], first_losses_again(sweep, line))
        found.append((row.name, apart))
        if apart <= CLOSE:
            confirm(row.key, line, Path(recorded))
    return found


def confirm(key: str, line: dict[str, Any], recorded: Path) -> None:
    """Note that a row's record holds for the code of today too."""
    modules = {f"crosskd_lab.{name[:-3].replace('/', '.')}" for name in line["code"] if _own(name)}
    code = code_of(modules, texts_of(line["config"], line["settings"]))
    code = {name: kept for name, kept in code.items() if name not in TRAINS_NOT}
    known = read_confirmed(recorded)
    known[key] = {"code": code, "commit": code_version()["commit"]}
    text = json.dumps(dict(sorted(known.items())), indent=1) + "\n"
    write_whole(recorded / CONFIRMED, text)


def _own(name: str) -> bool:
    """Whether a file of a record is of the package, and still there."""
    return not name.startswith("configs/") and (PACKAGE / name).is_file()
