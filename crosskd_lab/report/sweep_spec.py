"""What a sweep declares and what has been recorded of it: plain data, no torch.

A sweep is a Python file below ``configs/sweeps`` that says ``rows``, and where they differ from the
defaults ``table``, ``regime``, ``seeds``, ``settings`` (of every row), ``scenes`` and ``test``: no
other variable of it may have one of these names. A recorded run is one JSON object in one line of
``data/recorded/<sweep>.jsonl``. What identifies it is its config, settings and seed, not its name
or the sweep that ran it: rows that several sweeps declare alike are run once.
"""

import hashlib
import json
import math
import runpy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LabError, tell_once
from ..files import PROJECT, read_file, read_json

SWEEPS, RECORDED = PROJECT / "configs" / "sweeps", PROJECT / "data" / "recorded"
CONFIRMED, SUPERSEDED, AGAIN = "confirmed.json", "superseded.json", "again"
CLOSE = 2e-3
"""How much first losses made again may differ in relative terms: rounding differs between machines,
and grows with every step."""
SEEDS = (0, 1, 2)
REGIMES: dict[str, dict[str, int]] = {
    "fast": {"schedule.steps": 240, "schedule.warmup": 80, "schedule.validate_every": 80},
    "slow": {"schedule.steps": 1500, "schedule.warmup": 200, "schedule.validate_every": 500},
    "long": {"schedule.steps": 6000, "schedule.warmup": 200, "schedule.validate_every": 1000},
}
"""How long a student trains: the paper's Fig. 6(c) looks at the first of these, its tables at
students that have come to their end; the last asks whether the second is near it.
``docs/regime.md`` says how they were found."""
TEST = {"size": 160, "train": 0, "val": 0, "test": 500, "seed": 500}
"""The scenes that AP is reported on: no training, validation or choice has seen them."""


@dataclass(frozen=True)
class Row:
    """One line of a sweep: an experiment below ``configs/`` with what is replaced in it."""

    name: str
    config: str
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What identifies this row whatever it is called: 12 hex digits."""
        return digest({"config": self.config, "settings": dict(self.settings)})


@dataclass(frozen=True)
class Sweep:
    """A declared set of rows, each to be run with every seed; its name is the stem of its file.

    ``table`` is the paper's table that it re-measures, None for none; seeds are common, so that
    methods are compared in pairs. ``scenes`` are arguments of ``write_scenes`` for training, None
    for those of the race; ``test`` the same for the set that AP is reported on.
    """

    name: str
    title: str
    table: int | None
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    scenes: Mapping[str, int] | None = None
    test: Mapping[str, int] = field(default_factory=lambda: dict(TEST))
    about: str = ""

    def plan(self, only: Iterable[str] = (), seeds: Iterable[int] = ()) -> list[tuple[Row, int]]:
        """Row and seed of every run, seed by seed: one that is cut short leaves whole seeds.

        LabError for a row that is not declared, listing those that are.
        """
        chosen, names = list(only), [row.name for row in self.rows]
        if unknown := [name for name in chosen if name not in names]:
            raise LabError(f"{self.name} has no row {unknown[0]!r}: it has {', '.join(names)}")
        rows = [row for row in self.rows if not chosen or row.name in chosen]
        return [(row, seed) for seed in (list(seeds) or self.seeds) for row in rows]


def read_sweep(name: str | Path) -> Sweep:
    """A declared sweep: a file's path, or its stem below ``configs/sweeps``; LabError for none.

    ``table4_slow`` is ``table4`` with its rows in the slow regime; rows that another sweep has run
    there are not run again.
    """
    stem, slow = str(name).removesuffix("_slow"), str(name).endswith("_slow")
    path = next((p for p in (Path(name), SWEEPS / f"{stem}.py") if p.is_file()), None)
    if path is None:
        raise LabError(f"there is no sweep {str(name)!r}: choose from {', '.join(sweeps())}")
    try:
        said = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        raise LabError(f"{path} cannot be read ({type(error).__name__}: {error})") from error
    if not said.get("rows"):
        raise LabError(f"{path} declares no rows: say rows = {{name: (config, settings)}}")
    regime = "slow" if slow else said.get("regime", "fast")
    if regime not in REGIMES:
        raise LabError(f"{path}: regime {regime!r} is unknown: choose from {', '.join(REGIMES)}")
    try:
        rows = [
            Row(row, config, {**REGIMES[regime], **said.get("settings", {}), **settings})
            for row, (config, settings) in said["rows"].items()
        ]
        seeds = tuple(map(int, said.get("seeds", SEEDS)))
    except (TypeError, ValueError, AttributeError) as error:
        raise LabError(
            f"{path}: say rows = {{name: (config, settings)}} and seeds = (0, 1, 2)"
        ) from error
    title, _, about = str(said.get("__doc__") or path.stem).strip().partition("\n")
    sets = said.get("scenes"), said.get("test", dict(TEST))
    name, title = path.stem, title.rstrip(".")
    if slow:
        name, title = f"{name}_slow", f"{title}, in the slow regime"
    return Sweep(name, title, said.get("table"), tuple(rows), seeds, *sets, about.strip())


def sweeps() -> list[str]:
    """Names of the sweeps that the project declares."""
    return sorted(path.stem for path in SWEEPS.glob("*.py"))


def read_lines(folder: str | Path = RECORDED) -> list[dict[str, Any]]:
    """Every recorded run below a folder, files by name and lines in order; none where it is not.

    A line that ``superseded.json`` names has that entry under ``superseded``: it stays as history.
    A line that is no record is passed over and told; an entry that names no line is a LabError.
    """
    lines: list[dict[str, Any]] = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        try:
            texts = read_file(path, "restore it").decode("utf-8", "replace").splitlines()
        except LabError as error:  # one broken file hides no other
            tell_once(str(error))
            continue
        for number, text in enumerate(texts, 1):
            try:
                line = {"sweep": path.stem, **json.loads(text)}
                if lacks := {"key", "seed", "status"} - line.keys():  # by which a run is told
                    raise ValueError(f"it has no {min(lacks)}")
                lines.append(line)
            except (ValueError, TypeError, RecursionError) as error:
                tell_once(f"{path}, line {number} is no record ({error}): it is passed over")
    _supersede(lines, Path(folder) / SUPERSEDED)
    return lines


def _supersede(lines: list[dict[str, Any]], path: Path) -> None:
    """Mark the lines of each named sweep and row that were recorded before the given time."""
    for entry in read_json(path, "restore it", kind=list) if path.exists() else []:
        sweep, row, before = entry["sweep"], entry["row"], entry["before"]
        old = [line for line in lines if (line["sweep"], line.get("row")) == (sweep, row)]
        old = [line for line in old if line.get("date", "") < before]
        if not old:
            raise LabError(f"{path}: nothing of {sweep}, row {row!r}, is older than {before}")
        for line in old:
            line["superseded"] = entry


def latest(lines: Iterable[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    """The record that counts of every (key, seed): the last that is done, or else the last.

    Superseded lines count no more.
    """
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for line in lines:
        if "superseded" in line:
            continue
        before = found.get((line["key"], line["seed"]))
        if before is None or line["status"] == "done" or before["status"] != "done":
            found[line["key"], line["seed"]] = line
    return found


def read_confirmed(folder: str | Path = RECORDED) -> dict[str, dict[str, Any]]:
    """By key and seed (as text), how a record's first losses compared when made again.

    ``recorded`` is the date of that record, ``difference`` the largest relative one, None where
    other losses came out than were recorded.
    """
    path = Path(folder) / CONFIRMED
    return read_json(path, "restore it, or delete it and check again") if path.exists() else {}


def difference(begin: dict[str, float], again: dict[str, float]) -> float:
    """The largest relative difference between a record's first losses and those made again.

    Infinite where the names differ, or a loss is no number.
    """
    names = set(begin) - {"step"}
    if not names or names != {name for name in again if "loss" in name}:
        return math.inf
    apart = [abs(again[n] - begin[n]) / max(abs(begin[n]), 1e-6) for n in names]
    return max(apart) if all(map(math.isfinite, apart)) else math.inf


def digest(value: Any) -> str:
    """12 hex digits that stand for a tree of plain values."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
