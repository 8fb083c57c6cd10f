"""Notebook 04's last question: does a pair's conflict, measured before training, order its gain?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ..report.evidence_figures import prediction_figure
from ..report.results import measured_runs
from ..report.stats import by_pair, find_ordering, tell_ordering
from ..report.sweep_spec import RECORDED

SWEEP = "pairs"
PAIRS = {
    "gfl_r18_w32": ("crosskd", "kd"),
    "atss_r18_w32": ("crosskd_from_atss", "kd_from_atss"),
    "retinanet_r18_w32": ("crosskd_from_retinanet", "kd_from_retinanet"),
    "fcos_r18_w32": ("crosskd_from_fcos", "kd_from_fcos"),
}
"""By teacher of the GFL student: the sweep's rows of CrossKD and of KD."""
COLUMNS = ["pair", "ratio", "seed", "gain"]


def recorded_gains(teacher: str, recorded: str | Path = RECORDED) -> pd.Series:
    """AP of CrossKD minus AP of KD in points, by seed, of the recorded runs that have both."""
    crossed, mimicking = PAIRS[teacher]
    runs = measured_runs(SWEEP, recorded)
    runs = runs[runs["status"] == "done"].reindex(columns=["row", "seed", "AP"])
    values = runs.pivot(index="seed", columns="row", values="AP")
    values = values.reindex(columns=[crossed, mimicking]).dropna()
    return values[crossed] - values[mimicking]


def recorded_ratios(threshold: float = 0.5, recorded: str | Path = RECORDED) -> dict[str, float]:
    """Fig. 3's conflict ratio by teacher, as surveyed on the test split; empty without a record.

    Args:
        threshold: Of the discrepancy, a multiple of 0.01.
        recorded: Folder of the records, with the survey in ``figure3``.
    """
    survey = Path(recorded) / "figure3" / "conflict.csv"
    if not survey.is_file():
        return {}
    frame = pd.read_csv(survey).query("by == 'all'")
    frame = frame[(frame["threshold"] - threshold).abs() < 1e-9]
    return dict(zip(frame["teacher"], frame["ratio"], strict=True))


def foretold(ratios: Mapping[str, float], recorded: str | Path = RECORDED) -> pd.DataFrame:
    """A row a pair and seed: the conflict ratio before training, and the gain that came of it.

    Args:
        ratios: Conflict of the untrained GFL student's assigner with each teacher.
        recorded: Folder of the recorded runs.

    Returns:
        ``pair, ratio, seed, gain``; no rows where nothing has been recorded.
    """
    rows = []
    for teacher in [name for name in PAIRS if name in ratios]:
        gains = recorded_gains(teacher, recorded)
        pair = f"gfl from {teacher.split('_')[0]}"
        rows += [(pair, ratios[teacher], seed, gain) for seed, gain in gains.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def tell_foretold(frame: pd.DataFrame) -> Figure | None:
    """Print what the recorded runs allow one to say; the figure, where a pair has been recorded."""
    if frame.empty:
        print("No run of CrossKD beside KD is recorded yet: `crosskd-lab sweep pairs` records.")
        return None
    print(tell_ordering(find_ordering(frame)))
    return prediction_figure(by_pair(frame))
