"""Notebook 13: what Fig. 3 and Fig. 5 claim, judged by the recorded surveys or by one made now."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from ..gradients import measure_gradients
from ..methods.crosskd import CrossKD, PredictionMimicking
from ..methods.pkd import PKD
from ..report.claims import compare_claims, conflict_claim, judge_claims
from ..report.sweep_spec import RECORDED
from .conflicts import conflict_survey, count
from .students import held_out, train_student

TEACHERS = {
    "kd": "gfl_r18_w32",
    "kd_from_atss": "atss_r18_w32",
    "kd_from_retinanet": "retinanet_r18_w32",
    "kd_from_fcos": "fcos_r18_w32",
}
"""Rows of the sweep ``pairs`` that mimic, and the teacher that each mimics."""
IMAGES = {"smoke": 4, "cpu": 32, "gpu": 128}
MADE = "made.json"  # beside a recorded survey: where it came from


def conflict_ratios(
    scale: str,
    data: str | Path | None = None,
    recorded: str | Path = RECORDED,
    threshold: float = 0.5,
) -> pd.DataFrame:
    """How often each shipped teacher contradicts the GFL student's assigner.

    Read from the recorded survey of the test split (``figure3``), or, with ``data`` or without a
    record, counted now on held-out images.

    Returns:
        ``row`` (of the sweep ``pairs``), ``teacher``, ``images`` and ``ratio`` of conflicts above
        ``threshold`` to positives.
    """
    survey = Path(recorded) / "figure3"
    rows = []
    for row, teacher in TEACHERS.items():
        if data is None and survey.is_dir():
            images = json.loads((survey / MADE).read_text())["teachers"][teacher]["images"]
            frame = pd.read_csv(survey / "conflict.csv").query("teacher == @teacher")
        else:
            opened = conflict_survey(scale, data, teacher)
            images, frame = len(opened.dataset), count(opened, "teacher").frame()
        whole = frame.query("by == 'all'")
        ratio = whole.loc[(whole["threshold"] - threshold).abs() < 1e-9, "ratio"].item()
        rows.append({"row": row, "teacher": teacher, "images": images, "ratio": round(ratio, 3)})
    return pd.DataFrame(rows)


def judge_conflict(
    ratios: pd.DataFrame, recorded: str | Path = RECORDED
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Whether mimicking gains less from teachers that contradict more: comparisons and verdict."""
    claim = {"conflict": conflict_claim(dict(zip(ratios["row"], ratios["ratio"], strict=True)))}
    compared = compare_claims(claim, recorded)
    return compared, judge_claims(compared, claim)


def focus(
    scale: str, data: str | Path | None = None, recorded: str | Path = RECORDED
) -> pd.DataFrame:
    """How focused the gradients of CrossKD, PKD and mimicking are at a student's neck and at f_3.

    Read from the recorded survey (``figure5``: a recorded student without a teacher, test split),
    or, with ``data`` or without a record, measured now at a briefly trained one.

    Returns:
        See :func:`crosskd_lab.gradients.measure_gradients`.
    """
    survey = Path(recorded) / "figure5"
    if data is None and survey.is_dir():
        return pd.read_csv(survey / "gradients.csv")
    student = train_student("none", scale, data)
    batch = held_out(student, IMAGES[scale])
    methods = {"KD": PredictionMimicking(), "PKD": PKD(), "CrossKD": CrossKD(i=3)}
    return measure_gradients(student.pair, [batch], methods, (("neck", 0), ("cls", 3)))
