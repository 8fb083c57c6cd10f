"""Notebook 13: the paper's claims one by one, each judged by what has been recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from crosskd_lab.analysis.gradients import measure_gradients
from crosskd_lab.declared import RECORDED, read_sweep, sweeps
from crosskd_lab.figures import differences_figure, race_figure, render, time_figure
from crosskd_lab.lesson.conflicts import conflict_survey, count
from crosskd_lab.lesson.judge import Wrong, verdict
from crosskd_lab.lesson.students import held_out, train_student
from crosskd_lab.methods import CrossKD, PredictionMimicking
from crosskd_lab.tables import (
    compare_claims,
    conflict_claim,
    measured_curves,
    measured_runs,
    paired,
)
from crosskd_lab.tables.claims import FAILED, FEWEST, HELD, joint, judge_claims, verdict_of
from crosskd_lab.widgets import Frames

TEACHERS = {
    "kd": "gfl_r18_w32",
    "kd_from_atss": "atss_r18_w32",
    "kd_from_retinanet": "retinanet_r18_w32",
}
"""Table 7's rows that mimic, by the teacher that they mimic."""
IMAGES = {"smoke": 4, "cpu": 32, "gpu": 128}
EMPTY = "nothing is recorded of it here yet"
REASONS: dict[str, dict[str, str]] = {
    "every position": {
        HELD: "whatever layer it leaves from, the student's feature gets a gradient that the "
        "teacher's trained layers shape, and no position asks the student's last layers to serve "
        "two targets.",
        FAILED: "at pocket scale a tower is short and narrow: at one end few of the student's own "
        "layers learn from the teacher, or few of the teacher's layers are left to shape the "
        "gradient.",
    },
    "the middle": {
        HELD: "late positions train more of the student's own layers, early ones keep more layers "
        "free of conflict; the middle has some of both.",
        FAILED: "these students are at the start of their way. An early position hands the neck a "
        "gradient through four trained layers, which is worth most while the student's own tower "
        "knows little; the paper's students trained to their end.",
    },
    "mimicking": {
        HELD: "mimicking makes one prediction answer to the assigner and to the teacher; CrossKD "
        "leaves the student's own prediction to the assigner.",
        FAILED: "with few steps the pull of a good teacher is worth more than the conflict costs.",
    },
    "features": {
        HELD: "predictions weigh what matters for the task; features imitate everything alike.",
        FAILED: "imitation of the neck reaches all of the backbone from the first step with a "
        "large gradient, which is worth most in short training from a weak start.",
    },
    "adding KD back": {
        HELD: "mimicking brings back the conflict that CrossKD took away.",
        FAILED: "a student that is far from its ceiling takes any further signal; that the "
        "conflict costs something shows only when there is nothing else left to gain.",
    },
    "unlike teachers": {
        HELD: "another assigner gives another label to many locations; only mimicking puts both "
        "labels on one prediction.",
        FAILED: "the conflict of these small teachers may be too mild to spoil mimicking, or the "
        "teachers themselves too weak to help through either way.",
    },
    "conflict": {
        HELD: "where the teacher contradicts the assigner more often, more of mimicking's gradient "
        "works against the detection loss.",
        FAILED: "the teachers differ in strength as well, and a stronger teacher helps more: "
        "conflict is not the only thing that changes from one to the next.",
    },
}


def reason(claim: str, found: str, seeds: int) -> str:
    """The likely reason for a verdict, in a sentence."""
    if found in (HELD, FAILED):
        return REASONS[claim][found]
    if seeds == 0:
        return "a row that it needs is not recorded yet: the sweep of that table has it."
    if seeds < FEWEST:
        return f"fewer than {FEWEST} seeds are an observation, not a result."
    return (
        f"with {seeds} seeds the intervals reach over zero: the effect is smaller than chance "
        "between seeds lets one see here, or not there."
    )


def explain(judged: pd.DataFrame) -> str:
    """Every verdict with its likely reason, as a Markdown list.

    Args:
        judged: As :func:`crosskd_lab.tables.judge_claims` gives it.
    """
    lines = [
        f"- *{row['says']}* ({row['where']}): **{row['verdict']}**. Likely: "
        f"{reason(row['claim'], row['verdict'], row['seeds'])}"
        for row in judged.to_dict("records")
    ]
    return "\n".join(lines)


def claim_frames(compared: pd.DataFrame, judged: pd.DataFrame) -> Frames:
    """A drop-down over the claims: the comparisons that each of them stands on."""
    pictures = {}
    for row in judged.to_dict("records"):
        part = compared[compared["claim"] == row["claim"]]
        title = f"{row['says']} ({row['where']}): {row['verdict']}"
        pictures[row["claim"]] = render(differences_figure(part, title=title), "png")
    return Frames(pictures, "claim")


def conflict_ratios(
    scale: str, data: str | Path | None = None, threshold: float = 0.5
) -> pd.DataFrame:
    """How often each shipped teacher contradicts the GFL student's assigner, on held-out images.

    The assigner's label is one at its object's class here, the same for all teachers.

    Returns:
        ``row`` (of Table 7's sweep), ``teacher``, ``images`` and ``ratio`` of conflicts above
        ``threshold`` to positives.
    """
    rows = []
    for row, teacher in TEACHERS.items():
        survey = conflict_survey(scale, data, teacher)
        frame = count(survey, "exact").frame().query("by == 'all'")
        ratio = frame.loc[(frame["threshold"] - threshold).abs() < 1e-9, "ratio"].item()
        images = len(survey.dataset)
        rows.append({"row": row, "teacher": teacher, "images": images, "ratio": round(ratio, 3)})
    return pd.DataFrame(rows)


def judge_conflict(
    ratios: pd.DataFrame, recorded: str | Path = RECORDED
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Whether mimicking gains less from teachers that contradict more: comparisons and verdict."""
    claim = {"conflict": conflict_claim(dict(zip(ratios["row"], ratios["ratio"], strict=True)))}
    compared = compare_claims(claim, recorded)
    return compared, judge_claims(compared, claim)


def focus(scale: str, data: str | Path | None = None) -> pd.DataFrame:
    """How focused the gradients of mimicking and CrossKD are at a briefly trained student's neck.

    Returns:
        See :func:`crosskd_lab.analysis.gradients.measure_gradients`.
    """
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


def cost_picture(sweep: str = "table1", recorded: str | Path = RECORDED) -> Figure | None:
    """AP against training time, or a line that says what is missing."""
    runs = measured_runs(sweep, recorded)
    if not (runs["status"] == "done").any():
        print(f"{sweep}: {EMPTY} ('crosskd-lab sweep {sweep}' records it)")
        return None
    return time_figure(runs)


def curves_picture(
    sweep: str = "table1",
    only: Sequence[str] = ("none", "kd", "crosskd_3"),
    recorded: str | Path = RECORDED,
) -> Figure | None:
    """Fig. 6 from the records, or a line that says what is missing."""
    curves = measured_curves(sweep, only, recorded)
    if curves.empty:
        print(f"{sweep}: {EMPTY} ('crosskd-lab sweep {sweep}' records it)")
        return None
    return race_figure(curves, title="How the recorded students trained")


def not_recorded(recorded: str | Path = RECORDED) -> pd.DataFrame:
    """What the declared sweeps lack: a row a sweep with its runs done, failed and missing."""
    rows = []
    for name in sweeps():
        runs = measured_runs(name, recorded)
        by = runs.groupby("row", sort=False)["status"].agg(lambda s: (s == "done").sum())
        seeds = len(read_sweep(name).seeds)
        rows.append(
            {
                "sweep": name,
                "title": read_sweep(name).title,
                "done": int((runs["status"] == "done").sum()),
                "failed": int((runs["status"] == "failed").sum()),
                "missing": int((runs["status"] == "missing").sum()),
                "rows with fewer seeds": ", ".join(
                    f"{row} ({n} of {seeds})" for row, n in by.items() if n < seeds
                ),
                "stale": int((runs["stale"] != "").sum()),
            }
        )
    return pd.DataFrame(rows).set_index("sweep")


@verdict
def check_verdict(judge: Callable[[Sequence[float]], str]) -> str:
    """Whether ``judge(differences)`` says "held", "did not hold" or "not decided" at 95 %.

    Args:
        judge: Takes the differences of a method and its baseline, one a seed.
    """
    cases = {
        (3.0, 4.0, 5.0): ("held", "the interval is 4 ± 2.5"),
        (-3.0, -4.0, -5.0): ("did not hold", "the interval is -4 ± 2.5"),
        (0.5, 6.0, 1.0): ("not decided", "the interval is 2.5 ± 7.5: zero is in it"),
        (1.0, 2.0, 3.2): ("not decided", "with 3 seeds t is 4.30, not 1.96: 2.1 ± 2.7"),
        (9.0,): ("not decided", "one seed has no interval"),
    }
    for differences, (right, hint) in cases.items():
        got = judge(list(differences))
        if got != right:
            raise Wrong(f"for {list(differences)} it says {got!r}; {hint}")
    return "five made-up results, five verdicts"
