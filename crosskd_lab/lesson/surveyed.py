"""Notebook 13: what Fig. 3 and Fig. 5 claim, judged by the recorded surveys or by one made now."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from crosskd_lab.analysis.gradients import measure_gradients
from crosskd_lab.declared import RECORDED
from crosskd_lab.lesson.conflicts import conflict_survey, count
from crosskd_lab.lesson.students import held_out, train_student
from crosskd_lab.methods import CrossKD, PredictionMimicking
from crosskd_lab.tables import compare_claims, conflict_claim, paired
from crosskd_lab.tables.claims import joint, judge_claims, verdict_of

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
    """How focused the gradients of mimicking and CrossKD are at a student's neck.

    Read from the recorded survey (``figure5``: a recorded student without a teacher, test split),
    or, with ``data`` or without a record, measured now at a briefly trained one.

    Returns:
        See :func:`crosskd_lab.analysis.gradients.measure_gradients`.
    """
    survey = Path(recorded) / "figure5"
    if data is None and survey.is_dir():
        return pd.read_csv(survey / "gradients.csv").query("where == 'neck'")
    student = train_student("none", scale, data)
    batch = held_out(student, IMAGES[scale])
    methods = {"KD": PredictionMimicking(), "CrossKD": CrossKD(i=3)}
    return measure_gradients(student.pair, [batch], methods)


def judge_focus(frame: pd.DataFrame) -> str:
    """Whether CrossKD's gradient is more focused than mimicking's, image by image, in a sentence.

    By the share of energy inside boxes and by the Gini coefficient; both have to say so.
    """
    runs = frame.rename(columns={"loss": "method"})
    found = {value: paired(runs, "CrossKD", "KD", "image", value) for value in ("inside", "gini")}
    verdicts = [verdict_of(f.difference, f.half_width, f.n) for f in found.values()]
    said = ", ".join(
        f"{name} {f.difference:+.3f} ± {f.half_width:.3f}"
        for name, f in zip(("share inside boxes", "Gini coefficient"), found.values(), strict=True)
    )
    n = found["gini"].n
    return f"CrossKD's gradient is more focused (Fig. 5): {joint(verdicts)} ({said}; {n} images)"
