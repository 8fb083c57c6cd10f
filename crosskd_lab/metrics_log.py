"""The metrics of a run: ``metrics.jsonl``, one JSON object a line, each with its ``step``.

A kill can cut the last line short. The reader leaves such a line out and the next writer removes
it; a broken line anywhere else is an error.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from crosskd_lab.errors import LabError
from crosskd_lab.files import write_whole

METRICS = "metrics.jsonl"


def append_metrics(folder: str | Path, row: Mapping[str, Any]) -> None:
    """Appends one row and flushes it.

    Args:
        row: ``step`` (an integer) and any other names, to finite numbers, strings or None. A
            value that does not exist, such as the AP of small boxes where there are none, is None.

    Raises:
        LabError: no integer ``step``, or a value that is none of these (NaN, a tensor ...).
    """
    if not isinstance(row.get("step"), numbers.Integral):
        raise LabError(f"a row of metrics needs an integer 'step', got {row.get('step')!r}")
    line = json.dumps({name: _plain(name, value) for name, value in row.items()})
    path = Path(folder) / METRICS
    _mend(path)
    with path.open("a") as file:
        file.write(line + "\n")


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
        LabError: no such folder, or a line other than an unfinished last one is broken.
    """
    if not Path(folder).is_dir():
        raise LabError(f"there is no run {folder}: name a folder that a run wrote")
    path = Path(folder) / METRICS
    return pd.DataFrame(_rows(path) if path.exists() else [])


def _rows(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text().splitlines(keepends=True)
    if lines and not _is_whole(lines[-1]):
        lines.pop()
    return [_row(path, number, line) for number, line in enumerate(lines, start=1)]


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        row["step"]
    except (ValueError, TypeError, KeyError) as error:
        raise LabError(f"{path}, line {number} is no row with a step: delete that line") from error
    return row


def _is_whole(line: str) -> bool:
    """Whether a last line is all there: a cut object, wherever it is cut, is never valid JSON."""
    try:
        return line.endswith("\n") or isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _mend(path: Path) -> None:
    """Ends the file with a whole line, dropping what a kill left of one."""
    text = path.read_text() if path.exists() else ""
    if text and not text.endswith("\n"):
        whole, newline, rest = text.rpartition("\n")
        write_whole(path, whole + newline + (rest + "\n" if _is_whole(rest) else ""))


def _plain(name: str, value: Any) -> float | int | str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return float(value)
    raise LabError(f"metric {name!r} is {value!r}: give a finite number, a string or None")
