"""The metrics of a run: ``metrics.jsonl``, one JSON object a line, each with its ``step``.

A kill can cut the last line short. The reader leaves such a line out and the next writer removes
it; a broken line anywhere else is passed over and told. Where two processes wrote one run, which
:func:`crosskd_lab.files.sole_writer` now prevents, the later row of a step is the one that counts.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from crosskd_lab.errors import LabError, tell_once
from crosskd_lab.files import unwritable, write_whole

METRICS = "metrics.jsonl"
LARGEST = 2**53  # of the integers that are the same as floats


def append_metrics(folder: str | Path, row: Mapping[str, Any]) -> None:
    """Appends one row and flushes it.

    Args:
        row: ``step`` (an integer) and any other names, to finite numbers, strings or None. A
            value that does not exist, such as the AP of small boxes where there are none, is None.

    Raises:
        LabError: no integer ``step``, a value that is none of these (NaN, a tensor ...), or a
            full disk.
    """
    _check_step(row.get("step"))
    line = json.dumps({name: _plain(name, value) for name, value in row.items()})
    path = Path(folder) / METRICS
    _mend(path)
    try:
        with path.open("a") as file:
            file.write(line + "\n")
    except OSError as error:
        raise unwritable(path, error) from error


def trim_metrics(folder: str | Path, step: int) -> None:
    """Drops the rows beyond ``step``, so that a run resumed from there does not repeat them."""
    path = Path(folder) / METRICS
    if path.exists():
        rows = [row for row in _rows(path) if row["step"] <= step]
        write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))


def read_metrics(folder: str | Path) -> pd.DataFrame:
    """The metrics of a run, one row an appended row, NaN where a row lacks a column.

    Empty where the run has logged nothing yet.

    Raises:
        LabError: no such folder.
    """
    if not Path(folder).is_dir():
        raise LabError(f"there is no run {folder}: name a folder that a run wrote")
    path = Path(folder) / METRICS
    return pd.DataFrame(_rows(path) if path.exists() else [])


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows in order of their steps, one of a kind a step."""
    lines = path.read_text("utf-8", "replace").splitlines(keepends=True)
    if lines and not _is_whole(lines[-1]):
        lines.pop()
    rows = {}
    for number, line in enumerate(lines, start=1):
        if row := _row(line):
            rows[row.get("kind"), row["step"]] = row
        else:
            tell_once(f"{path}, line {number} is no row with a step: it is passed over")
    return sorted(rows.values(), key=lambda row: row["step"])


def _row(line: str) -> dict[str, Any] | None:
    """A line's row; None where it could not have been written here."""
    try:
        row = json.loads(line)
        _check_step(row["step"])
        return {name: _plain(name, value) for name, value in row.items()}
    except (LabError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def _is_whole(line: str) -> bool:
    """Whether a last line is all there: a cut object, wherever it is cut, is never valid JSON."""
    try:
        return line.endswith("\n") or isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _mend(path: Path) -> None:
    """Ends the file with a whole line, dropping what a kill left of one."""
    text = path.read_text("utf-8", "replace") if path.exists() else ""
    if text and not text.endswith("\n"):
        whole, newline, rest = text.rpartition("\n")
        write_whole(path, whole + newline + (rest + "\n" if _is_whole(rest) else ""))


def _check_step(step: Any) -> None:
    if not isinstance(step, numbers.Integral) or abs(int(step)) >= LARGEST:
        raise LabError(f"a row of metrics needs an integer 'step', got {step!r}")


def _plain(name: str, value: Any) -> float | int | str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, numbers.Integral):
        if abs(int(value)) < LARGEST:
            return int(value)
    elif isinstance(value, numbers.Real) and math.isfinite(value):
        return float(value)
    raise LabError(f"metric {name!r} is {value!r}: give a finite number, a string or None")
