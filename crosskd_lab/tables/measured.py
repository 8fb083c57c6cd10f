"""What has been recorded of a declared sweep: its runs, its rows, and what is not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosskd_lab.declared import (
    AGAIN,
    CLOSE,
    RECORDED,
    Sweep,
    difference,
    latest,
    read_confirmed,
    read_lines,
    read_sweep,
)
from crosskd_lab.errors import LabError
from crosskd_lab.record import method_name
from crosskd_lab.tables.sources import AP_COLUMNS
from crosskd_lab.tables.stats import half_width, paired

COSTS = ["steps", "train_seconds", "step_seconds", "parameters"]
MISSING = "missing"


def measured_runs(sweep: str | Sweep, recorded: str | Path = RECORDED) -> pd.DataFrame:
    """One row a declared run, whether it was recorded or not.

    Args:
        sweep: A sweep, or its name.
        recorded: Folder of the records.

    Returns:
        ``source`` ("recorded"), ``sweep``, ``row``, ``method``, ``seed``; ``status``, "done",
        "failed" or "missing", with its ``reason``; AP and its parts on the test split and
        ``AP_val``, in points, ``AP_first``, that of the first validation; ``l1_teacher`` and
        ``l1_truth``, Fig. 6's distances on the validation split; ``steps``, ``train_seconds``
        (validations left out) and ``step_seconds``, NaN where the record says that the machine
        was ``shared``, ``parameters``; ``commit``; ``checked``, when its
        first steps were last made again (None: never), how far their losses were ``apart`` in
        relative terms (infinite where others came out), and ``stale``, a text that is empty unless
        they disagreed.
    """
    sweep = read_sweep(sweep) if isinstance(sweep, str) else sweep
    known, confirmed = latest(read_lines(recorded)), read_confirmed(recorded)
    lines = [known.get((row.key, seed), {}) for row, seed in sweep.plan()]
    runs = [
        _run(sweep, row.name, seed, line, confirmed.get(row.key, {}).get(str(seed), {}))
        for (row, seed), line in zip(sweep.plan(), lines, strict=True)
    ]
    frame = pd.DataFrame(runs)
    # In the order of the table: rows, and in each its seeds.
    place = {row.name: place for place, row in enumerate(sweep.rows)}
    order = frame["row"].map(place)
    frame = frame.assign(order=order).sort_values(["order", "seed"], ignore_index=True)
    return frame.drop(columns="order")


def measured_rows(runs: pd.DataFrame, value: str = "AP") -> pd.DataFrame:
    """One row a declared row: mean, interval, and paired differences to baseline and to KD.

    Args:
        runs: As :func:`measured_runs` gives them.
        value: One of their columns.

    Returns:
        ``row``, ``method``, ``n`` seeds that are done of ``seeds``, ``mean`` with the 95 %
        interval's ``half_width``; ``to_none`` and ``to_kd``, differences over common seeds with
        ``to_none_half`` and ``to_kd_half``, and how many seeds, ``to_none_n`` and ``to_kd_n``;
        ``steps``, mean ``train_seconds`` and ``step_seconds``; ``stale``; ``checked``,
        in words the last day on which first steps were made again, the seeds, and how far their
        losses were apart. NaN where nothing is recorded or there is nothing to compare with.
    """
    names = list(runs["row"].unique())
    return pd.DataFrame([_row(runs, names, name, value) for name in names])


def measured_curves(
    sweep: str | Sweep, only: Iterable[str] = (), recorded: str | Path = RECORDED
) -> pd.DataFrame:
    """The validations on the way of every recorded run: Fig. 6's curves.

    Args:
        sweep: A sweep, or its name.
        only: Names of rows; all by default. Rows of one method are not told apart.
        recorded: Folder of the records.

    Returns:
        ``row, method, seed, step, AP, l1_teacher, l1_truth, l1_truth_positive,
        l1_truth_background`` on the validation split, as :func:`crosskd_lab.figures.race_figure`
        wants them; NaN where a record lacks one. Empty where nothing is recorded.
    """
    sweep = read_sweep(sweep) if isinstance(sweep, str) else sweep
    known = latest(read_lines(recorded))
    points = []
    for row, seed in sweep.plan(only):
        line = known.get((row.key, seed), {})
        about = {"row": row.name, "method": method_name(line.get("method")), "seed": seed}
        points += [{**about, **point} for point in line.get("curve", [])]
    measured = ["AP", "l1_teacher", "l1_truth", "l1_truth_positive", "l1_truth_background"]
    return pd.DataFrame(points, columns=["row", "method", "seed", "step", *measured])


def whole_again(recorded: str | Path = RECORDED) -> pd.DataFrame:
    """Recorded runs that were made again from the first step to the last, below ``again``.

    Args:
        recorded: Folder of the records.

    Returns:
        ``sweep``, ``row``, ``seed``; ``begin``, how far the first losses were apart in relative
        terms; ``threads`` of the record and of the rerun; ``recorded`` and ``again``, AP on the
        test split; ``apart``, the distance of the two.
    """
    known, rows = latest(read_lines(recorded)), []
    for line in read_lines(Path(recorded) / AGAIN):
        before = known.get((line["key"], line["seed"]), {"status": MISSING})
        if before["status"] == line["status"] == "done":
            about = {name: line[name] for name in ("sweep", "row", "seed")}
            about["begin"] = difference(before["begin"], line["begin"])
            about["threads"] = f"{before['threads']}, {line['threads']}"
            found = {"recorded": before["AP"], "again": line["AP"]}
            rows.append({**about, **found, "apart": abs(line["AP"] - before["AP"])})
    columns = ["sweep", "row", "seed", "begin", "threads", "recorded", "again", "apart"]
    return pd.DataFrame(rows, columns=columns)


def compare_rows(runs: pd.DataFrame, one: str, other: str, value: str = "AP") -> Any:
    """Two rows of a sweep held against each other seed by seed, or None where none is common.

    Args:
        runs: As :func:`measured_runs` gives them.
        one: A row's name.
        other: The row that it is compared with.
        value: A column of ``runs``.

    Returns:
        :class:`crosskd_lab.tables.Paired`.
    """
    mine = runs[runs["row"].isin([one, other])].assign(method=lambda frame: frame["row"])
    try:
        return paired(mine, one, other, value=value)
    except LabError:
        return None


def beside(name: str, kind: str, names: list[str]) -> str | None:
    """The row that a row is compared with, of the same family or teacher where there is one.

    Args:
        name: A row, such as "atss_crosskd" or "crosskd_from_atss".
        kind: "none" or "kd".
        names: The sweep's rows.
    """
    family = name.split("_")[0]
    if kind == "kd" and family == "kd":
        return None  # mimicking itself
    candidates = [f"{family}_{kind}"] if family != "crosskd" else []  # "crosskd_kd" is no family
    candidates += [name.replace("crosskd", kind)]
    candidates += [kind] if kind == "none" or "_from_" not in name else []
    return next((c for c in candidates if c in names and c != name), None)


def _run(
    sweep: Sweep, row: str, seed: int, line: dict[str, Any], check: Mapping[str, Any]
) -> dict[str, Any]:
    run = {"source": "recorded", "sweep": sweep.name, "row": row, "seed": seed}
    run |= {"method": method_name(line["method"]) if "method" in line else row}
    run |= {"status": line.get("status", MISSING), "reason": line.get("reason")}
    run |= {name: line.get(name, np.nan) for name in (*AP_COLUMNS, *COSTS)}
    if line.get("shared"):
        run |= {"train_seconds": np.nan, "step_seconds": np.nan}
    val, curve = line.get("val", {}), line.get("curve") or [{}]
    run |= {"AP_val": val.get("AP", np.nan), "AP_first": curve[0].get("AP", np.nan)}
    run |= {name: val.get(name, np.nan) for name in ("l1_teacher", "l1_truth")}
    run |= {"commit": line.get("git", {}).get("commit")}
    if not check or check["recorded"] != line.get("date"):  # never tried, or of an older record
        return run | {"checked": None, "apart": np.nan, "stale": ""}
    apart = np.inf if check["difference"] is None else check["difference"]
    day = check["date"][:10]
    said = "other losses" if apart == np.inf else f"first losses {apart:.1%} apart"
    return run | {"checked": day, "apart": apart, "stale": f"{said}, {day}" * (apart > CLOSE)}


def _row(runs: pd.DataFrame, names: list[str], name: str, value: str) -> dict[str, Any]:
    mine = runs[runs["row"] == name]
    done = mine[(mine["status"] == "done") & mine[value].notna()]
    row = {"row": name, "method": mine["method"].iloc[0], "n": len(done), "seeds": len(mine)}
    row |= {"mean": done[value].mean(), "half_width": half_width(done[value].to_numpy())}
    for kind in ("none", "kd"):
        other = beside(name, kind, names)
        found = compare_rows(runs, name, other, value) if other else None
        row[f"to_{kind}"] = found.difference if found else np.nan
        row[f"to_{kind}_half"] = found.half_width if found else np.nan
        row[f"to_{kind}_n"] = found.n if found else 0
    row |= {cost: done[cost].mean() for cost in COSTS[:3]}
    row |= {"stale": "; ".join(sorted({text for text in done["stale"] if text}))}
    tried = done[done["checked"].notna()]
    if tried.empty:
        return row | {"checked": "never"}
    seeds = ", ".join(map(str, tried["seed"]))
    return row | {"checked": f"{tried['checked'].max()}, seed {seeds}: {tried['apart'].max():.0e}"}
