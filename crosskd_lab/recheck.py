"""Does the code still do what it did? The first steps of recorded rows, made again.

A record keeps the losses of its run's first steps. ``crosskd-lab sweep NAME --check`` makes them
again with the code of today, and that alone says whether a row is stale. It proves no more than it
does: that data, weights, draws, losses and the first updates of the seeds that were tried are those
of the record; neither that a whole run ends where it ended, nor that evaluation is unchanged.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mmengine.hooks import Hook

from .declared import (
    CONFIRMED,
    RECORDED,
    Sweep,
    difference,
    latest,
    read_confirmed,
    read_lines,
)
from .experiment import load_experiment
from .files import write_whole
from .provenance import code_version, machine
from .sweep import scenes_of
from .training import prepare_engine
from .training.run import build_runner


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


def recheck(
    sweep: Sweep,
    only: Iterable[str] = (),
    seeds: Iterable[int] = (),
    recorded: str | Path = RECORDED,
) -> Iterator[tuple[str, int, float]]:
    """Make the first steps of recorded runs again, and write how they compared.

    Args:
        sweep: See :func:`crosskd_lab.declared.read_sweep`.
        only: Names of rows; all by default.
        seeds: Seeds; by default the first that is recorded of each row.
        recorded: Folder of the records; ``confirmed.json`` in it is what this writes.

    Yields:
        Row, seed and :func:`crosskd_lab.declared.difference`; up to ``CLOSE`` the row agrees, above
        it is stale.

    Raises:
        LabError: for a row that is not declared.
    """
    known, chosen, tried = latest(read_lines(recorded)), list(seeds), set()
    for row, seed in sweep.plan(only, chosen):
        line = known.get((row.key, seed), {})
        if not line.get("begin") or (not chosen and row.key in tried):
            continue
        tried.add(row.key)
        apart = difference(line["begin"], first_losses_again(sweep, line))
        _note(row.key, line, apart, Path(recorded))
        yield row.name, seed, apart


def _note(key: str, line: dict[str, Any], apart: float, recorded: Path) -> None:
    """Write how a record's first losses compared, among those of the row's other seeds."""
    known = read_confirmed(recorded)
    known.setdefault(key, {})[str(line["seed"])] = {
        "row": f"{line['sweep']}, {line['row']}",
        "recorded": line["date"],
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": code_version(),
        "difference": apart if math.isfinite(apart) else None,
        "machine": machine(),
    }
    text = json.dumps(dict(sorted(known.items())), indent=1, allow_nan=False) + "\n"
    write_whole(recorded / CONFIRMED, text)
