"""All recorded results on one page of Markdown, written from the records and from nothing else."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from crosskd_lab.declared import RECORDED, read_lines, read_sweep, sweeps
from crosskd_lab.tables.claims import CLAIMS, FAILED, HELD, compare_claims, judge_claims
from crosskd_lab.tables.focus import compare_focus, judge_focus
from crosskd_lab.tables.measured import measured_rows, measured_runs, whole_again
from crosskd_lab.tables.stats import STRAY, points

REHEARSAL = "smoke"  # a sweep for the tests, whose AP says nothing
TOLD = {0.3: "above 0.3", 0.5: "above 0.5", 0.7: "above 0.7"}

HEAD = f"""# What has been measured

Written by `crosskd-lab results --page` from `data/recorded`; a test holds it against the records.

How to read the tables. *AP* in points on the test split: the mean over seeds, ± half of its 95 %
interval, in brackets the number of seeds. *to none*: the difference to the same student without a
teacher. *to KD*: the difference to the student that mimicked the same teacher, on the same
branches, with its own head. Differences are paired by seed: both students met the same images in
the same order. *seconds a step*: the median of a run, on the machine of the record.

An interval from two or three seeds is itself uncertain: where they agree by luck it is too narrow.
None is printed below {STRAY}: so far a whole run ended from its record when only the rounding was
another (see *Whole runs made again*). One seed has no interval.

*First steps made again* says when `crosskd-lab sweep NAME --check` last repeated the first ten
steps, with which seed, and by how much the losses differed relative to their size. It proves that
much: the other seeds, the rest of the run and its AP were not tried by it. Where the losses
disagree, a column `stale` says so.

[Regimes](regime.md) says how long and from where these students train; the paper's numbers are of
COCO and stand beside these in notebook 07.
"""
CLAIMED = """## The paper's claims, as these records judge them

Every comparison that the paper's text makes and that these records can judge. Held: each of its
differences has its interval above zero. Did not hold: one has it below. Notebook 13 shows the
differences. Fig. 3 is a count on one set, Fig. 5 rests on the images of one student.
"""
CONTRADICTS = "A RetinaNet teacher contradicts the student's assigner more than GFL and ATSS do"
FOCUSED = "CrossKD's gradient at the student's features is more focused than that of PKD"
REPEATED = """## Whole runs made again

From the first step to the last, by `crosskd-lab sweep NAME --only ROW --seeds S --recorded
data/recorded/again`. *begin*: how far the first losses were apart; *threads*: of the record and of
the rerun, which ran on two virtual machines of one kind of processor. Another number of threads
splits sums otherwise and so rounds otherwise, as another kind of processor may.
"""
SUPERSEDED = """## Records that count no more

They stay in `data/recorded`; what was run instead stands in the tables above. `superseded.json`
names them.
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
    parts += [CLAIMED, markdown(claims_table(recorded))]
    again = whole_again(recorded)
    if len(again):
        numbers = {"begin": "{:.0e}", "recorded": "{:.2f}", "again": "{:.2f}", "apart": "{:.2f}"}
        shown = {name: again[name].map(form.format) for name, form in numbers.items()}
        parts += [REPEATED, markdown(again.assign(**shown))]
    old = superseded_table(recorded)
    parts += [SUPERSEDED, markdown(old)] if len(old) else []
    figure3 = Path(recorded) / "figure3" / "conflict.csv"
    if figure3.is_file():
        parts += [CONFLICT, markdown(conflict_table(pd.read_csv(figure3)))]
    return "\n".join(parts)


def claims_table(recorded: str | Path = RECORDED) -> pd.DataFrame:
    """Every claim with its verdict: those of recorded AP, then Fig. 5's, image by image.

    Returns:
        ``says``, ``where``, ``verdict``, ``over``: the fewest seeds of its comparisons, or images.
    """
    judged = judge_claims(compare_claims(CLAIMS, recorded))
    table = judged[["says", "where", "verdict"]].assign(over=judged["seeds"].map("{} seeds".format))
    figure3, figure5 = Path(recorded) / "figure3", Path(recorded) / "figure5" / "gradients.csv"
    if figure3.is_dir():
        ratios = conflict_table(pd.read_csv(figure3 / "conflict.csv")).set_index("teacher")
        least = float(ratios.loc["retinanet_r18_w32", TOLD[0.5]])
        others = ratios.loc[["gfl_r18_w32", "atss_r18_w32"], TOLD[0.5]].astype(float)
        verdict = HELD if (least > others).all() else FAILED
        table.loc[len(table)] = [CONTRADICTS, "Fig. 3, Sec. 3.1", verdict, "one set, no interval"]
    if figure5.is_file():
        compared = compare_focus(pd.read_csv(figure5))
        row = [FOCUSED, "Fig. 5, Sec. 4.2", judge_focus(compared), f"{compared['n'].min()} images"]
        table.loc[len(table)] = row
    return table


def superseded_table(recorded: str | Path = RECORDED) -> pd.DataFrame:
    """``sweep``, ``row``, ``AP then`` with its seeds, and ``why``, of all superseded rows."""
    old = [x for x in read_lines(recorded) if "superseded" in x and x["status"] == "done"]
    frame = pd.DataFrame(
        [(x["sweep"], x["row"], x["superseded"]["reason"], x["AP"]) for x in old],
        columns=["sweep", "row", "why", "AP"],
    )
    found = frame.groupby(["sweep", "row", "why"], sort=False)["AP"].agg(["mean", "size"])
    found = found.reset_index()
    then = [f"{mean:.1f} ({n})" for mean, n in zip(found["mean"], found["size"], strict=True)]
    return found[["sweep", "row"]].assign(**{"AP then": then, "why": found["why"]})


def sweep_section(name: str, recorded: str | Path = RECORDED) -> str:
    """A sweep's title and table; a sentence where nothing of it is recorded."""
    sweep = read_sweep(name)
    runs = measured_runs(sweep, recorded)
    title = f"## {sweep.title.rstrip('.')}\n" + (f"\n{sweep.about}\n" if sweep.about else "")
    if not (runs["status"] == "done").any():
        return f"{title}\nNothing is recorded yet: `crosskd-lab sweep {name}` records it.\n"
    return f"{title}\n{markdown(sweep_table(measured_rows(runs)))}"


def sweep_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a sweep in words.

    Args:
        rows: As :func:`crosskd_lab.tables.measured_rows` gives them.

    Returns:
        ``row``; ``AP``, ``to none`` and ``to KD`` with their intervals and, in brackets, their
        seeds ("2 of 3" where some are missing); ``steps``, ``seconds a step``, when its first steps
        were last made again, and ``stale`` only where something is.
    """
    some = rows["n"].astype(str) + " of " + rows["seeds"].astype(str)
    seeds = rows["n"].astype(str).where(rows["n"] == rows["seeds"], some)
    table = pd.DataFrame(
        {
            "row": rows["row"],
            "AP": [
                _counted(*cells)
                for cells in zip(rows["mean"], rows["half_width"], seeds, strict=True)
            ],
            "to none": _differences(rows, "none"),
            "to KD": _differences(rows, "kd"),
            "steps": [_number(value, "{:.0f}") for value in rows["steps"]],
            "seconds a step": [_number(value, "{:.2f}") for value in rows["step_seconds"]],
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
    columns = [rows[f"to_{kind}{part}"] for part in ("", "_half", "_n")]
    return [_counted(mean, half, n, "+") for mean, half, n in zip(*columns, strict=True)]


def _counted(mean: float, half: float, n: int | str, sign: str = "") -> str:
    """A number with its interval and, in brackets, its seeds."""
    return points(mean, half, sign) + ("" if math.isnan(mean) else f" ({n})")


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value)
