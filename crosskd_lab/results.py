"""The paper's tables beside recorded runs and yours, each against its own baseline.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from crosskd_lab.declared import sweeps
from crosskd_lab.errors import LabError
from crosskd_lab.tables import (
    AP_COLUMNS,
    beside,
    compare_rows,
    measured_rows,
    measured_runs,
    paired,
    paper_table,
    recorded,
    summarise,
    yours,
)
from crosskd_lab.tables.sources import RECORDED

SOURCES = ("paper", "recorded", "yours")
TABLES = range(1, 9)
SAME = {"LD": "KD", "CrossKD+LD": "CrossKD+KD"}
"""The paper's LD is this lab's KD for heads with box distributions: both mimic p^t with p^s."""
COLUMNS = ["source", "study", "method", "variant", "n", "mean", "half_width"]
COLUMNS += ["difference", "difference_half_width", "p_t", "p_sign_flip"]
COLUMNS += ["steps", "train_seconds", "stale"]


def results(
    number: int,
    metric: str = "AP",
    sources: Sequence[str] = SOURCES,
    runs: str | Path = "runs",
    recorded_runs: str | Path = RECORDED,
) -> pd.DataFrame:
    """Table 1-8 of the paper, and below it what recorded runs and yours have of its methods.

    Every row is compared with *its own* baseline, the student without a teacher: the paper's of the
    same pair, a run's of the same study (folder of runs, or declared sweep) seed by seed.

    Args:
        number: The paper's table.
        metric: AP, AP50, AP75, APS, APM or APL, in points.
        sources: Which of "paper", "recorded" and "yours", in that order in the table.
        runs: Folder of your runs.
        recorded_runs: Folder of recorded runs.

    Returns:
        ``source``; ``study``, the pair, the folder or the sweep; ``method``; ``variant``, the
        paper's position, a run's spelled-out options or the sweep's row; ``n`` seeds (NaN: the
        paper does not say) with ``mean`` and the 95 % interval's ``half_width``; ``difference``
        to the own baseline with its ``difference_half_width`` and two p-values, paired t-test and
        sign flips; of recorded rows ``steps``, mean ``train_seconds`` and ``stale``, in words,
        where the code of today begins otherwise. NaN where there is no baseline, interval, test or
        record of it.

    Raises:
        LabError: for an unknown table, metric or source, or a seed that a study has twice.
    """
    if metric not in AP_COLUMNS:
        raise LabError(f"there is no metric {metric!r}: choose one of {', '.join(AP_COLUMNS)}")
    if unknown := set(sources) - set(SOURCES):
        raise LabError(f"unknown sources {', '.join(sorted(unknown))}: choose of {SOURCES}")
    paper = _paper_rows(number, metric)
    methods = set(paper["method"]) | {SAME[m] for m in paper["method"] if m in SAME}
    found = [paper] if "paper" in sources else []
    for source, read, place in (("recorded", recorded, recorded_runs), ("yours", yours, runs)):
        if source not in sources:
            continue
        frame = read(place)
        found.append(_run_rows(frame[frame["method"].isin(methods)], metric))
        if source == "recorded" and f"table{number}" in sweeps():
            found.append(_measured_rows(f"table{number}", metric, place))
    kept = [frame for frame in found if not frame.empty]
    if not kept:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(kept, ignore_index=True).reindex(columns=COLUMNS)


def _paper_rows(number: int, metric: str) -> pd.DataFrame:
    table = paper_table(number)
    baselines: dict[tuple[str, str], float] = {}
    for other in [n for n in TABLES if n != number] + [number]:  # its own comes last and wins
        students = paper_table(other).query("role == 'student'")
        baselines |= dict(
            zip(
                zip(students["teacher"], students["student"], strict=True),
                students[metric],
                strict=True,
            )
        )
    table = table[table["role"] != "teacher"]
    pairs = list(zip(table["teacher"], table["student"], strict=True))
    difference = table[metric].to_numpy() - [baselines.get(pair, np.nan) for pair in pairs]
    return pd.DataFrame(
        {
            "source": "paper",
            "study": [f"{teacher} → {student}" for teacher, student in pairs],
            "method": table["method"],
            "variant": table["position"],
            "n": np.nan,
            "mean": table[metric],
            "half_width": np.nan,
            "difference": np.where(table["role"] == "student", np.nan, difference),
            "difference_half_width": np.nan,
            "p_t": np.nan,
            "p_sign_flip": np.nan,
        }
    )


def _run_rows(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One row a method and variant of every study."""
    if frame.empty or metric not in frame:
        return pd.DataFrame(columns=COLUMNS)
    study = [PurePosixPath(run).parent.as_posix() for run in frame["run"]]
    frame = frame.rename(columns={"options": "variant"}).assign(study=study)
    table = summarise(frame, ["study", "method", "variant"], metric)
    gains = [_gain(frame, row, metric) for row in table.to_dict("records")]
    names = ["difference", "difference_half_width", "p_t", "p_sign_flip"]
    return table.join(pd.DataFrame(gains, columns=names, index=table.index))


def _measured_rows(sweep: str, metric: str, place: str | Path) -> pd.DataFrame:
    """The rows of a declared sweep that have a record."""
    runs = measured_runs(sweep, place)
    rows = measured_rows(runs, metric)
    rows = rows[rows["n"] > 0].reset_index(drop=True)
    names = list(runs["row"].unique())
    tests = []
    for name in rows["row"]:
        other = beside(name, "none", names)
        found = compare_rows(runs, name, other, metric) if other else None
        tests.append(tuple(found)[1:] if found else (np.nan,) * 4)
    columns = ["difference", "difference_half_width", "p_t", "p_sign_flip"]
    about = {"source": "recorded", "study": sweep, "variant": rows["row"]}
    return rows.assign(**about).join(pd.DataFrame(tests, columns=columns))


def _gain(frame: pd.DataFrame, row: dict, metric: str) -> tuple[float, ...]:
    """A variant against the student alone of its study, over the seeds that both have."""
    nothing = (np.nan,) * 4
    same = frame[(frame["study"] == row["study"]) & (frame["source"] == row["source"])]
    alone = same[same["method"] == "none"]
    mine = same[(same["method"] == row["method"]) & (same["variant"] == row["variant"])]
    if row["method"] == "none" or not set(alone["seed"]) & set(mine["seed"]):
        return nothing
    try:
        return tuple(paired(pd.concat([mine, alone]), row["method"], "none", value=metric))[1:]
    except LabError:  # common seeds, of which none has finished
        return nothing
