"""Notebook 13: the paper's claims one by one, each judged by what has been recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ..report.claims import FAILED, FEWEST, HELD
from ..report.evidence_figures import differences_figure, time_figure
from ..report.figures import race_figure, render
from ..report.page import sweep_table
from ..report.results import measured_curves, measured_rows, measured_runs
from ..report.sweep_spec import RECORDED, read_sweep, sweeps
from .galleries import Frames
from .judge import Wrong, verdict

REGIMES_COMPARED = {
    "fast": ("table1", ("none", "kd", "crosskd_3")),
    "slow": ("regime", ("none", "kd", "crosskd")),
}
"""Sweep and rows of one comparison in both regimes (docs/regime.md)."""
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
    "spoiled": {
        HELD: "another assigner gives another label to many locations, and mimicking puts both "
        "labels on one prediction.",
        FAILED: "the conflict of these small teachers may be too mild to spoil mimicking.",
    },
    "the neck": {
        FAILED: "imitation deep in the head trains the head's own layers as well, which students "
        "of few steps lack most; at the neck it leaves them alone.",
    },
    "near the truth": {
        FAILED: "most of the distance lies on background, where a trained teacher says nearly what "
        "the annotations say: near to the one is near to the other (notebook 06 takes it apart).",
    },
    "above the teachers": {
        FAILED: "these students train for a few hundred steps, their teachers for thousands.",
    },
    "at length": {
        HELD: "what the teacher's layers say to the student's features stays worth more than "
        "what mimicking says to its predictions, also where a student has had six times as "
        "long to learn from the annotations.",
        FAILED: "much of the gain of few steps is speed, which more steps give the others too.",
    },
    "conflict": {
        HELD: "where the teacher contradicts the assigner more often, more of mimicking's gradient "
        "works against the detection loss.",
        FAILED: "the teachers differ in strength as well, and a stronger teacher helps more: "
        "conflict is not the only thing that changes from one to the next.",
    },
}


def reason(claim: str, found: str, seeds: int) -> str:
    """The likely reason for a verdict, in a sentence; none where nobody has thought of one."""
    if found in (HELD, FAILED):
        return REASONS.get(claim, {}).get(found, "")
    if seeds == 0:
        return "a row that it needs is not recorded yet: the sweep of that table has it."
    if seeds < FEWEST:
        return f"fewer than {FEWEST} seeds are an observation, not a result."
    return (
        f"with {seeds} seeds the intervals reach over zero: the effect is smaller than chance "
        "between seeds lets one see here, or not there."
    )


def explain(judged: pd.DataFrame) -> str:
    """The verdicts for which there is a likely reason, each with it, as a Markdown list.

    Args:
        judged: As :func:`crosskd_lab.report.claims.judge_claims` gives it.
    """
    lines = [
        f"- *{row['says']}* ({row['where']}): **{row['verdict']}**. Likely: {said}"
        for row in judged.to_dict("records")
        if (said := reason(row["claim"], row["verdict"], row["seeds"]))
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


def both_regimes(recorded: str | Path = RECORDED) -> pd.DataFrame:
    """The same three students after few steps and after many, on the test split.

    Returns:
        Index ``regime`` and ``student``; ``steps``, ``AP``, ``to none`` and ``to KD`` with their
        95 % intervals, in points, and their seeds.
    """
    tables = []
    for regime, (sweep, rows) in REGIMES_COMPARED.items():
        runs = measured_runs(sweep, recorded)
        table = sweep_table(measured_rows(runs[runs["row"].isin(rows)]))
        tables.append(table.assign(regime=regime, student=["none", "KD", "CrossKD"]))
    columns = ["steps", "AP", "to none", "to KD"]
    return pd.concat(tables).set_index(["regime", "student"])[columns]


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
