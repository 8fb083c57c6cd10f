"""Notebook 07: the paper's tables beside recorded runs and yours, and a row made again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from ..configs import CONFIGS, read_config
from ..files import PROJECT
from ..paper import AP_COLUMNS, paper_table
from ..report.results import SAME, TABLES, measured_runs, results
from ..report.sweep_spec import RECORDED, read_sweep
from ..runs.launch import AGAIN, RowRun, launch
from .judge import Wrong, verdict
from .offer import Command
from .students import effort

METRICS = {"smoke": ["AP"]}  # all of them at other scales
GPUS = 8


def read_tables(
    scale: str, runs: str | Path | None = None, recorded: str | Path = RECORDED
) -> dict[tuple[int, str], pd.DataFrame]:
    """All tables by (number, metric), each row with its ``origin`` in words.

    Args:
        scale: "smoke" reads AP only.
        runs: Folder of your runs; the project's ``runs`` by default.
        recorded: Folder of the records.

    Raises:
        LabError: for an unknown scale.
    """
    effort(scale)
    runs = PROJECT / "runs" if runs is None else Path(runs)
    tables = {}
    for number in TABLES:
        for metric in METRICS.get(scale, AP_COLUMNS):
            frame = results(number, metric, runs=runs, recorded_runs=recorded)
            origins = [origin(number, row) for row in frame.to_dict("records")]
            tables[number, metric] = frame.assign(origin=origins)
    return tables


def origin(number: int, row: Mapping[str, Any]) -> str:
    """Where a row's numbers come from, in a sentence without its full stop."""
    if row["source"] == "paper":
        return f"Table {number} of the paper, on COCO minival (data/paper/table{number}.csv)"
    seeds = f"{row['n']:.0f} seed{'s' if row['n'] > 1 else ''}"
    if row["source"] == "yours":
        return f"your runs in {row['study']}, {seeds}: last validation, on their validation split"
    changed = f"; stale: {row['stale']}" if row["stale"] else ""
    return (
        f"recorded sweep {row['study']}, row {row['variant']}, {seeds}: "
        f"drawn scenes, test split{changed}"
    )


def rows_beside(number: int, recorded: str | Path = RECORDED) -> pd.DataFrame:
    """The rows that the paper's table and this lab's sweep of it have in common.

    Returns:
        ``row`` of the sweep, AP in the ``paper``, mean ``recorded`` AP; only rows that have both,
        and to which one number of the paper belongs.
    """
    sweep = f"table{number}"
    names = [row.name for row in read_sweep(sweep).rows]
    printed = paper_table(number).query("role != 'teacher'")
    printed = printed.assign(row=[_row_of(r, names) for r in printed.to_dict("records")])
    printed = printed.dropna(subset=["row"]).groupby("row", sort=False)["AP"]
    paper = printed.first()[printed.nunique() == 1].rename("paper")
    runs = measured_runs(sweep, recorded).query("status == 'done'")
    means = runs.groupby("row")["AP"].mean().rename("recorded")
    return paper.to_frame().join(means).dropna().reset_index()


def tell_order(rows: pd.DataFrame) -> str:
    """How many pairs of rows are in the paper's order here too, and which are not.

    Args:
        rows: As :func:`rows_beside` gives them.
    """
    pairs = list(combinations(rows.to_dict("records"), 2))
    pairs = [(a, b) for a, b in pairs if a["paper"] != b["paper"]]
    if not pairs:
        return "Fewer than two rows of this table are recorded: there is no order to compare yet."
    other = [(a, b) for a, b in pairs if _sign(a, b, "paper") * _sign(a, b, "recorded") <= 0]
    text = f"{len(pairs) - len(other)} of {len(pairs)} pairs of rows stand as in the paper."
    if not other:
        return text
    told = ", ".join(f"{a['row']} and {b['row']}" for a, b in other)
    return f"{text} The other way round, or level: {told}."


def commands(number: int, place: str | Path = AGAIN) -> dict[str, Command]:
    """What makes each row of a table again: here at pocket scale, and on COCO as in the paper.

    Args:
        number: The paper's table.
        place: Where pocket runs go.

    Raises:
        LabError: for a table that is not there.
    """
    paper_table(number)
    offered = {}
    for row in read_sweep(f"table{number}").rows:
        run = RowRun(f"table{number}", row.name, place=place)
        offered[f"pocket: {row.name}, seed {run.plan.seed}"] = Command(run.command, run.start)
    for path in sorted((CONFIGS / "paper").glob(f"table{number}_*.py")):
        recipe = f"paper/{path.stem}"
        printed = paper_table(number).set_index("row").loc[read_config(recipe).paper["row"]]
        pair = f"{printed['student']} from {printed['teacher']}"
        name = f"paper: {pair}, {printed['method']} {printed['position']}".strip()
        words = f"crosskd-lab launch {recipe} --gpus {GPUS}"
        offered[f"{name} ({path.stem})"] = Command(words, partial(launch, recipe, gpus=GPUS))
    return offered


def made_again(place: str | Path = AGAIN, recorded: str | Path = RECORDED) -> pd.DataFrame:
    """The rows that were made again beside the same row and seed of the records, AP on test."""
    found = []
    for path in sorted(Path(place).glob("*.jsonl")):
        both = ["row", "seed", "AP"]
        mine = measured_runs(path.stem, place).query("status == 'done'")[both]
        before = measured_runs(path.stem, recorded)[both]
        rows = mine.merge(before, on=["row", "seed"], suffixes=(" again", " recorded"))
        found.append(rows.assign(sweep=path.stem))
    columns = ["sweep", "row", "seed", "AP again", "AP recorded"]
    if not any(len(rows) for rows in found):
        print("Nothing has been made again yet.")
        return pd.DataFrame(columns=columns)
    return pd.concat(found)[columns].round(2)


@verdict
def check_agreement(agreement: Callable[[dict[str, float], dict[str, float]], float]) -> str:
    """Whether ``agreement(paper, here)`` is the share of pairs of rows in the same order.

    Args:
        agreement: Takes AP by row twice; rows that only one of them has, and pairs that the paper
            has level, do not count; a pair that is level here is not in the same order.
    """
    cases = [
        ({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 10.0, "b": 30.0, "c": 20.0}, 2 / 3, ""),
        (
            {"a": 1.0, "b": 2.0, "x": 9.0},
            {"a": 10.0, "b": 30.0, "y": 0.0},
            1.0,
            "compare only rows that both have",
        ),
        (
            {"a": 1.0, "b": 1.0, "c": 3.0},
            {"a": 5.0, "b": 4.0, "c": 6.0},
            1.0,
            "a pair that is level in the paper has no order to repeat: leave it out",
        ),
        (
            {"a": 1.0, "b": 2.0},
            {"a": 5.0, "b": 5.0},
            0.0,
            "a pair that is level here is not in the same order",
        ),
    ]
    for paper, here, right, hint in cases:
        got = float(agreement(dict(paper), dict(here)))
        if abs(got - right) > 1e-6:
            raise Wrong(
                f"for {paper} and {here} it gives {got:.2f}; "
                f"{hint or 'two of the three pairs are in the same order'}"
            )
    return "an order can be compared where values cannot"


def _row_of(printed: Mapping[str, Any], names: list[str]) -> str | None:
    """The row of a sweep that repeats a row of the paper's table, None where there is none."""
    own = _plain(printed["method"])
    other = _plain(SAME.get(printed["method"], printed["method"]))
    method = own if own in names else other
    family, teacher = (_plain(printed[who].split("-")[0]) for who in ("student", "teacher"))
    wanted = [f"{method}_{_plain(printed['position'])}", f"{method}_from_{teacher}"]
    wanted += [f"{family}_{method}", method]
    return next((name for name in wanted if name in names), None)


def _plain(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _sign(one: Mapping[str, Any], other: Mapping[str, Any], column: str) -> float:
    return (one[column] > other[column]) - (one[column] < other[column])
