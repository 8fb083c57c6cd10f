"""What was measured, in plain English: of a race, of its parts, and of all that is recorded."""

import math
from collections.abc import Iterable
from pathlib import Path

import jinja2
import pandas as pd

from ..errors import LabError
from ..files import PACKAGE
from .claims import (
    CLAIMS,
    FAILED,
    FEWEST,
    HELD,
    compare_claims,
    compare_focus,
    judge_claims,
    judge_focus,
    kept_students,
)
from .results import measured_rows, measured_runs, paper_table, whole_again
from .stats import STRAY, need, paired, points, summarise
from .sweep_spec import RECORDED, read_lines, read_sweep, sweeps

# The paper's Table 1 mimics with LD: like this project's KD, on the student's own predictions.
PAPER_NAMES = {"none": "none", "KD": "LD", "CrossKD": "CrossKD"}


def report_paragraph(
    metrics: pd.DataFrame,
    *,
    teacher_ap: float | None = None,
    setting: str = "The race",
    kinds: tuple[str, str] = ("GFL", "GFL"),
) -> str:
    """What a race showed and what it did not: final AP, its order, and where distances ended.

    ``metrics`` is ``method, seed, step, AP`` (points), and where measured ``l1_teacher`` and
    ``l1_truth``, L1(p^s, p^t) and L1(p^s, p^gt) of Fig. 6 per positive; ``teacher_ap`` is in points
    on the same images, ``kinds`` the detectors of teacher and student as the paper names them.
    LabError where a column is missing, or nothing has been evaluated yet.
    """
    finals = final_rows(metrics)
    if finals.empty:
        raise LabError("nothing has been evaluated yet: let the race reach its first evaluation")
    table, paper = _paper_order(*kinds)
    sentences = [
        f"{setting}: {_what_ran(finals)}.",
        _final_ap(finals, teacher_ap),
        _difference(finals),
        _order(finals, table, paper),
        _distances(finals),
        "The paper's own numbers are from COCO: its order can be compared with this one, its "
        "values cannot."
        if len(paper)
        else f"The paper has no {kinds[1]} student of a {kinds[0]} teacher.",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def final_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """The last row with an AP of each method and seed; LabError where two runs share a name."""
    need(metrics, "method", "seed", "step", "AP")
    rows = metrics.dropna(subset=["AP"], ignore_index=True).sort_values("step", kind="stable")
    twice = rows[rows.duplicated(["method", "seed", "step"])]
    if not twice.empty:
        method, seed = twice[["method", "seed"]].iloc[0]
        raise LabError(f"{method} with seed {seed} is in the race twice: give each its own name")
    return rows.drop_duplicates(["method", "seed"], keep="last").sort_index(ignore_index=True)


def _what_ran(finals: pd.DataFrame) -> str:
    methods = finals.groupby("method", sort=False)
    seeds, steps = methods["seed"].nunique(), methods["step"].agg(["min", "max"])
    few, many = seeds.min(), seeds.max()
    ran = f"{_words(seeds.index)}, {many if few == many else f'{few} to {many}'} "
    ran += "seed each" if many == 1 else "seeds each"
    if steps["min"].min() == steps["max"].max():
        return f"{ran}, compared after {steps['max'].max()} steps"
    lengths = _words(f"{name} {step}" for name, step in steps["min"].items())
    return f"{ran}, not equally long (last evaluated step: {lengths}), so compare with care"


def _final_ap(finals: pd.DataFrame, teacher_ap: float | None) -> str:
    table = summarise(finals, "method").sort_values("mean", ascending=False, kind="stable")
    rows = table[["method", "mean", "half_width"]].itertuples(index=False, name=None)
    texts = _words(f"{name} {points(mean, half)}" for name, mean, half in rows)
    intervals = " (mean ± half of the 95 % interval)" if table["n"].max() > 1 else ""
    teacher = "" if teacher_ap is None else f"; the teacher has {teacher_ap:.1f}"
    return f"Final AP{intervals}: {texts}{teacher}."


def _difference(finals: pd.DataFrame) -> str:
    """CrossKD against KD or, where one is missing, the best against the worst."""
    means = _by_seed(finals, "AP").mean()
    if len(means) < 2:
        return ""
    usual = {"CrossKD", "KD"} <= set(means.index)
    best = means.idxmax()  # where all tie, idxmin would name the same one
    one, other = ("CrossKD", "KD") if usual else (best, means.drop(best).idxmin())
    found = paired(finals, one, other)
    size, side = abs(found.difference), "above" if found.difference > 0 else "below"
    if found.n == 1:
        return (
            f"One seed: a difference of {size:.1f} AP ({one} {side} {other}) here is an "
            "observation, not a result."
        )
    apart = points(size, found.half_width, "+").removeprefix("+")
    verdict = "excludes zero"
    if found.n < FEWEST:
        verdict += ", but fewer than three seeds decide nothing"
    if size <= found.half_width:
        verdict = "includes zero, so no difference is shown"
    elif size <= STRAY:  # as for a claim, no interval counts as shorter
        verdict = f"excludes zero, but whole runs made again end up to {STRAY} apart"
        verdict += ", so no difference is shown"
    return (
        f"Over {found.n} common seeds {one} ends {apart} AP {side} {other}: the interval {verdict} "
        f"(paired t-test p = {found.p_t:.2g}; flipping signs p = {found.p_sign_flip:.2g}, which so "
        f"few seeds cannot bring below {2 / 2**found.n:.2g})."
    )


def _order(finals: pd.DataFrame, table: int, paper: pd.Series) -> str:
    aps = _by_seed(finals, "AP")
    means = aps.mean().round(1).sort_values(ascending=False, kind="stable")
    if len(means) < 2:
        return ""
    equal = means.diff() == 0
    found = "".join(f" {'=' if equal[name] else '>'} {name}" for name in means.index)[3:]
    shared = [name for name in paper.index if name in means]
    if len(shared) < 2:
        return f"Order of final AP: {found}."
    holds = (means[shared].diff().iloc[1:] > 0).all()
    verdict = f"is{'' if holds else ' not'} the order of the paper's Table {table}"
    printed = {**PAPER_NAMES, "KD": "LD" if table == 1 else "KD"}
    known = _words(f"{printed[name]} {paper[name]:.1f}" for name in shared)
    ordered = (aps.dropna()[shared].diff(axis=1).iloc[:, 1:] > 0).all(axis=1)
    count = _in_seeds(ordered, "have that order")
    return f"Order of final AP: {found}; for {_words(shared)} that {verdict} ({known}){count}."


def _paper_order(teacher: str, student: str) -> tuple[int, pd.Series]:
    """The paper's table with such a pair, and its AP by this project's names, worst first.

    Two of a kind are in Tables 1 (GFL; CrossKD at its default position 3) and 6, others in 7; a
    pair that the paper does not have gives no AP.
    """
    number = 7 if teacher != student else 1 if student == "GFL" else 6
    table = paper_table(number)
    mine = table["teacher"].str.startswith(f"{teacher}-") & (table["role"] != "teacher")
    mine &= table["student"].str.startswith(f"{student}-") & table["position"].isin(["", "3"])
    by_method = table[mine].set_index("method")["AP"]
    names = {**PAPER_NAMES, "KD": "KD" if "KD" in by_method else PAPER_NAMES["KD"]}
    known = {name: by_method[printed] for name, printed in names.items() if printed in by_method}
    return number, pd.Series(known, dtype=float).sort_values()


def _distances(finals: pd.DataFrame) -> str:
    """Fig. 6: mimicking ends nearer to the teacher than CrossKD, and farther from the truth."""
    said = []
    for part, value, sign, words in (
        ("(a)", "l1_teacher", -1, "nearer to the teacher"),
        ("(b)", "l1_truth", 1, "farther from the ground truth"),
    ):
        found = _by_seed(finals, value)
        if found.columns.empty:
            said.append(f"Whether KD ends {words}, Fig. 6{part}, was not measured.")
        elif {"KD", "CrossKD"} <= set(found):
            both = found[["KD", "CrossKD"]].dropna()
            kd, crosskd = both.mean()
            begin = f"As in Fig. 6{part}, KD ends"
            if sign * (kd - crosskd) <= 0:
                begin = f"Unlike in Fig. 6{part}, KD does not end"
            said.append(
                f"{begin} {words} than CrossKD: L1 per positive location {kd:.3g} against "
                f"{crosskd:.3g}{_in_seeds(sign * (both['KD'] - both['CrossKD']) > 0, 'agree')}."
            )
    return " ".join(said)


def _by_seed(finals: pd.DataFrame, value: str) -> pd.DataFrame:
    """``value`` with a row a seed and a column a method of those for which it was measured."""
    measured = finals.reindex(columns=["seed", "method", value])
    return measured.pivot(index="seed", columns="method", values=value).dropna(axis=1, how="all")


def _in_seeds(holds: pd.Series, what: str) -> str:
    """How many single seeds a statement about means holds for; empty where there is but one."""
    return f"; {holds.sum()} of {len(holds)} seeds {what}" if len(holds) > 1 else ""


def _words(parts: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


PAGE = PACKAGE / "report" / "results.md.j2"
REHEARSAL = "smoke"  # a sweep for the tests, whose AP says nothing
TOLD = {0.3: "above 0.3", 0.5: "above 0.5", 0.7: "above 0.7"}

CONTRADICTS = "A RetinaNet teacher contradicts the student's assigner more than GFL and ATSS do"
FOCUSED = "CrossKD's gradient at the student's features is more focused than that of PKD"


def results_page(recorded: str | Path = RECORDED) -> str:
    """Every declared sweep as a table, the verdicts on the claims, Fig. 3's ratios: Markdown."""
    names = [name for name in sweeps() if name != REHEARSAL]
    names.sort(key=lambda name: (read_sweep(name).table is None, name))  # the paper's come first
    sections = [sweep_section(name, recorded) for name in names]
    shown = {row.key for row in read_sweep("regime").rows}
    for slow in [read_sweep(f"{name}_slow") for name in names]:
        own = [row.name for row in slow.rows if row.key not in shown]  # not another section's
        runs = measured_runs(slow, recorded)
        if (runs["row"].isin(own) & (runs["status"] == "done")).any():
            sections.append(sweep_section(slow.name, recorded))
            shown |= {row.key for row in slow.rows}
    again = whole_again(recorded)
    numbers = {"begin": "{:.0e}", "recorded": "{:.2f}", "again": "{:.2f}", "apart": "{:.2f}"}
    again = again.assign(**{name: again[name].map(form.format) for name, form in numbers.items()})
    kept = [Path(recorded) / name / "conflict.csv" for name in ("figure3", "figure3_early")]
    counted = [pd.read_csv(path) for path in kept if path.is_file()]
    ratios = conflict_table(pd.concat(counted)) if counted else pd.DataFrame()
    page = jinja2.Template(PAGE.read_text("utf-8"), trim_blocks=True).render(
        stray=STRAY,
        sections=sections,
        claims=markdown(claims_table(recorded)),
        again=markdown(again),
        superseded=markdown(superseded_table(recorded)),
        conflict=markdown(ratios),
    )
    return page.rstrip() + "\n"


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"


def claims_table(recorded: str | Path = RECORDED) -> pd.DataFrame:
    """Every claim with its verdict: those of recorded AP, then Fig. 3's and Fig. 5's.

    ``says, where, verdict, over``: the fewest seeds of its comparisons, or images.
    """
    judged = judge_claims(compare_claims(CLAIMS, recorded))
    table = judged[["says", "where", "verdict"]].assign(over=judged["seeds"].map(_seeds))
    figure3, figure5 = (
        Path(recorded) / name for name in ("figure3/conflict.csv", "figure5/gradients.csv")
    )
    if figure3.is_file():
        ratios = conflict_table(pd.read_csv(figure3)).set_index("teacher")
        least = float(ratios.loc["retinanet_r18_w32", TOLD[0.5]])
        others = ratios.loc[["gfl_r18_w32", "atss_r18_w32"], TOLD[0.5]].astype(float)
        verdict = HELD if (least > others).all() else FAILED
        table.loc[len(table)] = [CONTRADICTS, "Fig. 3, Sec. 3.1", verdict, "one set, no interval"]
    if figure5.is_file():
        compared = compare_focus(pd.read_csv(figure5))
        row = [FOCUSED, "Fig. 5, Sec. 4.2", judge_focus(compared), f"{compared['n'].min()} images"]
        table.loc[len(table)] = row
    for whose, students in kept_students(recorded).items():
        compared = compare_focus(students)
        where, over = f"Fig. 5, slow students {whose}", f"{compared['n'].min()} students"
        table.loc[len(table)] = [FOCUSED, where, judge_focus(compared), over]
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
    title = f"## {sweep.title}\n" + (f"\n{sweep.about}\n" if sweep.about else "")
    if not (runs["status"] == "done").any():
        return f"{title}\nNothing is recorded yet: `crosskd-lab sweep {name}` records it.\n"
    return f"{title}\n{markdown(sweep_table(measured_rows(runs)))}"


def sweep_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a sweep in words: AP and its differences with intervals and, in brackets, their seeds
    ("2 of 3" where some are missing); ``stale`` only where something is.
    """
    some = rows["n"].astype(str) + " of " + rows["seeds"].astype(str)
    seeds = rows["n"].astype(str).where(rows["n"] == rows["seeds"], some)
    table = pd.DataFrame(
        {
            "row": rows["row"],
            "AP": _counted(rows["mean"], rows["half_width"], seeds),
            "to none": _counted(rows["to_none"], rows["to_none_half"], rows["to_none_n"], "+"),
            "to KD": _counted(rows["to_kd"], rows["to_kd_half"], rows["to_kd_n"], "+"),
            "steps": [_number(value, "{:.0f}") for value in rows["steps"]],
            "seconds a step": [_number(value, "{:.2f}") for value in rows["step_seconds"]],
            "first steps made again": rows["checked"],
        }
    )
    return table.assign(stale=rows["stale"]) if rows["stale"].any() else table


def conflict_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The overall ratio of every teacher at three thresholds, of the frame of ``conflict``."""
    whole = frame[(frame["by"] == "all") & frame["threshold"].isin(TOLD)]
    table = whole.pivot(index="teacher", columns="threshold", values="ratio")
    table = table.reindex(whole["teacher"].unique()).rename(columns=TOLD)
    return table.map("{:.3f}".format).reset_index()


def markdown(frame: pd.DataFrame) -> str:
    """A data frame as a Markdown table; nothing of one without rows."""
    if frame.empty:
        return ""
    rows = [frame.columns, ["---"] * frame.shape[1], *frame.itertuples(index=False)]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def _counted(means: pd.Series, halves: pd.Series, seeds: pd.Series, sign: str = "") -> list[str]:
    """Numbers with their intervals and, in brackets, their seeds."""
    return [
        points(mean, half, sign) + ("" if math.isnan(mean) else f" ({n})")
        for mean, half, n in zip(means, halves, seeds, strict=True)
    ]


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value)
