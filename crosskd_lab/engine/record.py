"""A run is a folder: its config as used, its record, and ``metrics.jsonl``, one object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import LabError, tell_once
from ..files import append_line, parse_json, portable_path, read_file, read_json, write_whole
from .provenance import code_version, machine, now, package_versions

if TYPE_CHECKING:  # training writes tables and reads none
    import pandas as pd

METRICS = "metrics.jsonl"


def append_metrics(folder: str | Path, row: Mapping[str, Any]) -> None:
    """Appends one row of ``step`` (an integer), ``kind`` (a text) and any other names.

    Their values are finite numbers, or None for one that does not exist, such as the AP of small
    boxes where there are none. LabError for NaN, or a full disk.
    """
    numbers = {name: v.item() if hasattr(v, "item") else v for name, v in row.items()}
    if odd := [k for k, v in numbers.items() if isinstance(v, float) and not math.isfinite(v)]:
        raise LabError(f"metric {odd[0]!r} is {numbers[odd[0]]}: give a finite number or None")
    append_line(Path(folder) / METRICS, numbers)


BROKEN = (ValueError, TypeError, LookupError, AttributeError)
"""What comes of reading a line, or a record, that has been damaged."""


def trim_metrics(folder: str | Path, step: int) -> None:
    """Drops the rows beyond ``step``, so that a run resumed from there does not repeat them."""
    path = Path(folder) / METRICS
    if path.exists():
        rows = [row for row in _rows(path) if row["step"] <= step]
        write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))


def read_metrics(folder: str | Path) -> pd.DataFrame:
    """The metrics of a run, one row an appended row, NaN where a row lacks a column."""
    import pandas as pd

    if not Path(folder).is_dir():
        raise LabError(f"there is no run {folder}: name a folder that a run wrote")
    path = Path(folder) / METRICS
    return pd.DataFrame(_rows(path) if path.exists() else [])


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows in order of their steps, one of a kind a step: of two writers the later."""
    text = read_file(path, "restore it or delete the run").decode("utf-8", "replace")
    lines = text.splitlines(keepends=True)
    rows = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line)
            numbers = [value for name, value in row.items() if name != "kind" and value is not None]
            if not isinstance(row["step"], int) or not all(map(math.isfinite, numbers)):
                raise ValueError(line)
            rows[row["step"], row.get("kind")] = row
        except BROKEN:
            if number < len(lines) or line.endswith("\n"):  # else it is still being written
                tell_once(f"{path}, line {number} is no row with a step: it is passed over")
    return [rows[at] for at in sorted(rows, key=lambda at: at[0])]


SCHEMA = 1
RECORD, CONFIG = "record.json", "config.py"
KINDS: dict[str, Any] = dict(
    **dict(status=str, created=str, seed=int, git=dict, data=dict, teacher=dict | None),
    **dict(methods=list, extra=dict, resumed=list, results=dict | None),
)
"""What every reader of a record relies on."""
# What a table calls a method when its class has a longer name.
SHORT_NAMES = {"PredictionMimicking": "KD"}


def start_record(
    folder: str | Path,
    *,
    command: list[str],
    config: str,
    seed: int,
    data: dict,
    teacher: dict | None,
    methods: list[dict] | None,
    extra: dict | None = None,
    resume: bool = False,
) -> None:
    """Writes ``config.py`` and then ``record.json`` with status "running" into ``folder``.

    ``config`` is the whole configuration as text, as used; ``data`` has at least ``path`` and
    ``checksum``, ``teacher`` at least ``name`` and ``sha256`` or is None; ``methods`` are as in the
    config, none is the student alone. With ``resume`` the record in the folder keeps its beginning
    and gains a line under ``resumed``: config, seed, data and teacher must be the same.

    LabError: ``folder`` holds a run and ``resume`` is False; it holds none, or another one, and
    ``resume`` is True.
    """
    folder = Path(folder)
    command = [portable_path(word) for word in command]
    if resume:
        _continue_record(folder, command, config, seed, data, teacher)
        return
    if (folder / RECORD).exists():
        raise LabError(f"{folder} holds a run already: resume it or choose another folder")
    record = {
        "schema": SCHEMA,
        "created": now(),
        "status": "running",
        "command": command,
        "git": code_version(),
        "versions": package_versions(),
        "machine": machine(),
        "seed": int(seed),
        "data": _portable(data),
        "teacher": teacher and _portable(teacher),
        "methods": methods or [],
        "extra": extra or {},
        "resumed": [],
    }
    write_whole(folder / CONFIG, config)
    _write_record(folder, record)


def _continue_record(
    folder: Path, command: list[str], config: str, seed: int, data: dict, teacher: dict | None
) -> None:
    record, data = read_record(folder), _portable(data)
    moved = str(record["data"].get("path", "")), str(data["path"])
    pairs = {
        **_differences(folder / CONFIG, config, moved),
        "seed": (record["seed"], int(seed)),
        "data (checksum)": (record["data"]["checksum"], data["checksum"]),
        "teacher (sha256)": tuple(
            (one or {}).get("sha256") for one in (record["teacher"], teacher)
        ),
    }
    others = [f"{key} was {was!r}, now {now!r}" for key, (was, now) in pairs.items() if was != now]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise LabError(
            f"{folder} was started otherwise: {'; '.join(others[:3])}{more}: say the same again, "
            "or choose another folder"
        )
    for ending in ("finished", "results", "reason"):
        record.pop(ending, None)
    record["resumed"].append({"at": now(), "command": command, "git": code_version()})
    if moved[0] != moved[1]:  # who reads the run later looks for them where they are
        tell_once(f"the data were {moved[0]}, and are {moved[1]} now, with the same annotations")
        record["data"] = data
        write_whole(folder / CONFIG, config)
    _write_record(folder, {**record, "status": "running"})


def _differences(file: Path, after: str, moved: tuple[str, str]) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ between two configs; what was set comes first.

    That the data ``moved`` from one place to another is no difference.
    """
    remedy = "restore it, or choose another folder"
    before = read_file(file, remedy).decode("utf-8", "replace")
    if before == after:
        return {}
    from mmengine.config import Config  # which brings torch

    from .settings import MADE_FROM

    try:
        was, now = (_leaves(Config.fromstring(t, ".py").to_dict()) for t in (before, after))
    except Exception as error:  # it is a program, and stumbles over whatever has been done to it
        raise LabError(f"{file} is broken ({error}): {remedy}") from error
    keys = [
        key
        for key in {**was, **now}
        if now.get(key) not in (value := was.get(key), _follow(value, *moved))
    ]
    keys.sort(key=lambda key: key.split(".")[0] not in MADE_FROM)  # the others follow from these
    return {key: (was.get(key), now.get(key)) for key in keys}


def _follow(value: Any, old: str, new: str) -> Any:
    """A path below the old place as it is below the new one; anything else as it is."""
    below = isinstance(value, str) and old and f"{value}/".startswith(f"{old}/")
    return new + value[len(old) :] if below else value


def _leaves(tree: Any, above: str = "") -> dict[str, Any]:
    """Every single value of a tree by its dotted key, a path in the project as it is from there."""
    found: dict[str, Any] = {}
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        deeper = isinstance(value, dict | list | tuple) and value
        alone = portable_path(value) if isinstance(value, str) else value
        found |= _leaves(value, f"{above}{key}.") if deeper else {f"{above}{key}": alone}
    return found


def finish_record(
    folder: str | Path, status: str, results: dict | None = None, reason: str | None = None
) -> None:
    """Closes a record with how the run ended, "done", "stopped" or "failed", why not, and its
    results.

    ``results`` is flat, e.g. ``{"AP": 38.7}``, in points from 0 to 100.
    """
    record = read_record(folder)
    record |= {"status": status, "finished": now(), "reason": reason, "results": results}
    _write_record(Path(folder), record)


def read_record(folder: str | Path) -> dict[str, Any]:
    """The record of a run; LabError where none is, or one that this version cannot read."""
    path = Path(folder) / RECORD
    if not path.is_file():
        raise LabError(f"{folder} is no run: it has no {RECORD}")
    record = read_json(path, "restore it or delete the run")
    if record.get("schema") != SCHEMA:
        raise LabError(f"{path} is not of schema {SCHEMA}: read it with the version that wrote it")
    if not _is_whole({"results": None, **record}):
        raise LabError(f"{path} is broken (a part of it is missing): restore it or delete the run")
    return record


def _is_whole(record: dict[str, Any]) -> bool:
    """Whether all is there that is read of a record, and its APs are numbers."""
    try:
        said = [record["data"]["checksum"], record["git"]["commit"], record["git"]["dirty"]]
        said += [(record["teacher"] or {"name": ""})["name"], *map(_type_name, record["methods"])]
        said += [v + 0 for k, v in (record["results"] or {}).items() if "AP" in k and v is not None]
        return all(isinstance(record[name], kind) for name, kind in KINDS.items())
    except BROKEN:
        return False


def find_runs(root: str | Path) -> list[Path]:
    """The folders at or below ``root`` that hold a record, sorted; none where ``root`` is not."""
    return sorted(path.parent for path in Path(root).rglob(RECORD))


def runs_frame(root: str | Path) -> pd.DataFrame:
    """One row a run below ``root``, its results and the single values of ``extra`` as columns.

    ``data`` is the data set's checksum, ``run`` the folder relative to ``root``. A run whose record
    is broken is told and has the status "broken"; it hides no other.
    """
    import pandas as pd

    root = Path(root)
    return pd.DataFrame([_run_row(root, folder) for folder in find_runs(root)])


def method_name(methods: list[dict[str, Any]] | None) -> str:
    """What tables call a list of methods: "none", "KD", "CrossKD", "CrossKD+PKD" ..."""
    return "+".join(_type_name(method) for method in methods or []) or "none"


def _run_row(root: Path, folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"run": folder.relative_to(root).as_posix()}
    try:
        record = read_record(folder)
    except LabError as error:
        tell_once(str(error))
        return row | {"status": "broken"}
    teacher, git, methods = record["teacher"] or {}, record["git"], record["methods"]
    row |= {"method": method_name(methods), "options": _options(methods)}
    row |= {name: record[name] for name in ("seed", "status", "created")}
    row |= {"data": record["data"]["checksum"], "teacher": teacher.get("name")}
    row |= {"commit": git["commit"], "dirty": git["dirty"]}
    row |= {name: value for name, value in record["extra"].items() if np.isscalar(value)}
    return row | (record.get("results") or {})


def _type_name(method: dict) -> str:
    name = str(method["type"]).rpartition(".")[2]
    return SHORT_NAMES.get(name, name)


def _options(methods: list[dict]) -> str:
    """The settings that a config spelled out, e.g. "CrossKD(i=2)"; defaults are not repeated."""
    spelled = []
    for method in methods:
        settings = ", ".join(f"{key}={value}" for key, value in method.items() if key != "type")
        spelled += [f"{_type_name(method)}({settings})"] if settings else []
    return "+".join(spelled)


def _portable(named: dict) -> dict:
    """Without the machine's own folders: a teacher's name may be the path of its checkpoint."""
    return {
        key: portable_path(value) if isinstance(value, (str, Path)) else value
        for key, value in named.items()
    }


def _write_record(folder: Path, record: dict) -> None:
    text = json.dumps(record, indent=2, default=_plain, allow_nan=False)
    write_whole(folder / RECORD, text + "\n")


def _plain(value: Any) -> Any:
    """What JSON lacks: numpy's numbers as numbers, paths and the like as text."""
    return value.item() if isinstance(value, np.generic) else str(value)
