"""All recorded results on one page of Markdown, written from the records and from nothing else."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from crosskd_lab.declared import RECORDED, read_sweep, sweeps
from crosskd_lab.tables.claims import CLAIMS, compare_claims, judge_claims
from crosskd_lab.tables.measured import measured_rows, measured_runs

REHEARSAL = "smoke"  # a sweep for the tests, whose AP says nothing
TOLD = {0.3: "above 0.3", 0.5: "above 0.5", 0.7: "above 0.7"}

HEAD = """# What has been measured

Written by `crosskd-lab results --page` from `data/recorded`; a test holds it against the records.
AP in points on the test split, mean over seeds with its 95 % interval; differences are paired by
seed, so that both students met the same images in the same order. An interval from two or three
seeds is itself uncertain: where they agree by luck it is too narrow, and one seed has none.
*First steps made again* says when `crosskd-lab sweep NAME --check` last repeated the first ten
steps, with which seed, and by how much the losses differed relative to their size. It proves that
much: the other seeds, the rest of the run and its AP were not tried by it. Where the losses
disagree, a column `stale` says so. [Regimes](regime.md) says how long and from where these
students train; the paper's numbers are of COCO and stand beside these in notebook 07.
"""
CLAIMED = """## The paper's claims, as these records judge them

Held: every comparison has its interval above zero. Did not hold: one has it below. Notebook 13
shows the comparisons.
"""
CONFLICT = """## Fig. 3: conflicts a positive location

The GFL student's assigner against each shipped teacher on the test split (`data/recorded/figure3`).
"""


def results_page(recorded: str | Path = RECORDED) -> str:
    """Every declared sweep as a table, the verdicts on the claims, and Fig. 3's ratios.

    Args:
        recorded: Folder of the records.

    Returns:
        Markdown.
    """
    parts = [HEAD]
    names = [name for name in sweeps() if name != REHEARSAL]
    names.sort(key=lambda name: (read_sweep(name).table is None, name))  # the paper's come first
    parts += [sweep_section(name, recorded) for name in names]
    judged = judge_claims(compare_claims(CLAIMS, recorded))
    parts += [CLAIMED, markdown(judged[["says", "where", "verdict", "seeds"]])]
    figure3 = Path(recorded) / "figure3" / "conflict.csv"
    if figure3.is_file():
        parts += [CONFLICT, markdown(conflict_table(pd.read_csv(figure3)))]
    return "\n".join(parts)


def sweep_section(name: str, recorded: str | Path = RECORDED) -> str:
    """A sweep's title and table; a sentence where nothing of it is recorded."""
    sweep = read_sweep(name)
    runs = measured_runs(sweep, recorded)
    title = f"## {sweep.title.rstrip('.')}\n"
    if not (runs["status"] == "done").any():
        return f"{title}\nNothing is recorded yet: `crosskd-lab sweep {name}` records it.\n"
    return f"{title}\n{markdown(sweep_table(measured_rows(runs)))}"


def sweep_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a sweep in words.

    Args:
        rows: As :func:`crosskd_lab.tables.measured_rows` gives them.

    Returns:
        ``row``, ``seeds`` ("2 of 3" where some are missing), ``AP``, ``to none`` and ``to KD`` with
        their intervals, ``steps``, seconds a step, when its first steps were last made again, and
        ``stale`` only where something is.
    """
    some = rows["n"].astype(str) + " of " + rows["seeds"].astype(str)
    table = pd.DataFrame(
        {
            "row": rows["row"],
            "seeds": rows["n"].astype(str).where(rows["n"] == rows["seeds"], some),
            "AP": [_with(*pair) for pair in zip(rows["mean"], rows["half_width"], strict=True)],
            "to none": _differences(rows, "none"),
            "to KD": _differences(rows, "kd"),
            "steps": [_number(value, "{:.0f}") for value in rows["steps"]],
            "s a step": [_number(value, "{:.2f}") for value in rows["step_seconds"]],
            "first steps made again": rows["checked"],
        }
    )
    return table.assign(stale=rows["stale"]) if rows["stale"].any() else table


def conflict_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The overall ratio of every teacher at three thresholds.

    Args:
        frame: ``teacher, by, threshold, ratio``, as ``crosskd-lab conflict`` writes it.
    """
    whole = frame[(frame["by"] == "all") & frame["threshold"].isin(TOLD)]
    table = whole.pivot(index="teacher", columns="threshold", values="ratio")
    table = table.reindex(whole["teacher"].unique()).rename(columns=TOLD)
    return table.map("{:.3f}".format).reset_index()


def markdown(frame: pd.DataFrame) -> str:
    """A data frame as a Markdown table."""
    rows = [frame.columns, ["---"] * frame.shape[1], *frame.itertuples(index=False)]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def _differences(rows: pd.DataFrame, kind: str) -> list[str]:
    pairs = zip(rows[f"to_{kind}"], rows[f"to_{kind}_half"], strict=True)
    return [_with(*pair, sign="+") for pair in pairs]


def _with(mean: float, half: float, sign: str = "") -> str:
    if math.isnan(mean):
        return "–"
    return f"{mean:{sign}.1f}" + ("" if math.isnan(half) else f" ± {half:.1f}")


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value)
