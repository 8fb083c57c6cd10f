"""One honest paragraph on a race of methods: every statement is computed from the frame."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from crosskd_lab.errors import LabError
from crosskd_lab.tables.sources import paper_table
from crosskd_lab.tables.stats import need, paired, points, summarise

# The paper's Table 1 mimics with LD: like this project's KD, on the student's own predictions.
PAPER_NAMES = {"none": "none", "KD": "LD", "CrossKD": "CrossKD"}


def report_paragraph(
    metrics: pd.DataFrame,
    *,
    teacher_ap: float | None = None,
    setting: str = "The race",
    kinds: tuple[str, str] = ("GFL", "GFL"),
) -> str:
    """What a race showed and what it did not, in plain English.

    It gives the final AP by method, with 95 % intervals where there are several seeds; whether
    CrossKD and mimicking (KD) differ; whether the order is that of the paper's table for such
    a pair; and whether the final distances are ordered as in Fig. 6(a) and (b).

    Args:
        metrics: columns ``method, seed, step, AP`` (points), and where measured ``l1_teacher``
            and ``l1_truth``, L1(p^s, p^t) and L1(p^s, p^gt) of Fig. 6, per positive.
        teacher_ap: the teacher's AP on the same images, in points.
        setting: what raced where, e.g. "Pocket GFL students on synthetic scenes".
        kinds: the detectors of teacher and student, named as the paper names them.

    Raises:
        LabError: a column is missing, or nothing has been evaluated yet.
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
        _nearest_to_teacher(finals),
        _farther_from_truth(finals),
        "The paper's own numbers are from COCO: its order can be compared with this one, its "
        "values cannot."
        if len(paper)
        else f"The paper has no {kinds[1]} student of a {kinds[0]} teacher.",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def final_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """The last evaluated row, that is one with an AP, of each method and seed.

    Raises:
        LabError: a column of ``method, seed, step, AP`` is missing, or a method was evaluated
            twice with one seed at one step, so that two runs share a name.
    """
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
    means = _means(finals, "AP")
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
    shown = size > found.half_width
    verdict = "excludes zero" if shown else "includes zero, so no difference is shown"
    return (
        f"Over {found.n} common seeds {one} ends {points(size, found.half_width)} AP {side} "
        f"{other}: the interval {verdict} (paired t-test p = {found.p_t:.2g}; flipping signs "
        f"p = {found.p_sign_flip:.2g}, which so few seeds cannot bring below {2 / 2**found.n:.2g})."
    )


def _order(finals: pd.DataFrame, table: int, paper: pd.Series) -> str:
    means = _means(finals, "AP").round(1).sort_values(ascending=False, kind="stable")
    if len(means) < 2:
        return ""
    equal = means.diff() == 0
    found = "".join(f" {'=' if equal[name] else '>'} {name}" for name in means.index)[3:]
    shared = [name for name in paper.index if name in means]
    if len(shared) < 2:
        return f"Order of final AP: {found}."
    by_seed = _by_seed(finals, "AP")[shared]
    holds = (means[shared].diff().iloc[1:] > 0).all()
    verdict = f"is{'' if holds else ' not'} the order of the paper's Table {table}"
    printed = {**PAPER_NAMES, "KD": "LD" if table == 1 else "KD"}
    known = _words(f"{printed[name]} {paper[name]:.1f}" for name in shared)
    count = _in_seeds((by_seed.diff(axis=1).iloc[:, 1:] > 0).all(axis=1), "have that order")
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


def _nearest_to_teacher(finals: pd.DataFrame) -> str:
    """Fig. 6(a): mimicking reaches the smallest L1(p^s, p^t)."""
    means = _means(finals, "l1_teacher")
    if "KD" not in means or len(means) < 2:
        return "" if len(means) else "The distance to the teacher was not measured."
    others, by_seed = means.drop("KD"), _by_seed(finals, "l1_teacher")
    holds = means["KD"] < others.min()
    start = "As in Fig. 6(a), KD ends" if holds else "Unlike in Fig. 6(a), KD does not end"
    count = _in_seeds(by_seed["KD"] < by_seed.drop(columns="KD").min(axis=1), "agree with it")
    return (
        f"{start} nearest to the teacher: L1(p^s, p^t) per positive location {means['KD']:.3g}, "
        f"against {others.min():.3g} for {others.idxmin()}{count}."
    )


def _farther_from_truth(finals: pd.DataFrame) -> str:
    """Fig. 6(b): mimicking keeps a larger L1(p^s, p^gt) than CrossKD."""
    means = _means(finals, "l1_truth")
    if not {"KD", "CrossKD"} <= set(means.index):
        return "" if len(means) else "The distance to the ground truth was not measured."
    by_seed = _by_seed(finals, "l1_truth")
    holds = means["KD"] > means["CrossKD"]
    count = _in_seeds(by_seed["KD"] > by_seed["CrossKD"], "agree with it")
    start = "As in Fig. 6(b), KD ends" if holds else "Unlike in Fig. 6(b), KD does not end"
    return (
        f"{start} farther from the ground truth than CrossKD: L1(p^s, p^gt) "
        f"{means['KD']:.3g} against {means['CrossKD']:.3g}{count}."
    )


def _means(finals: pd.DataFrame, value: str) -> pd.Series:
    """The mean of ``value`` over the seeds of each method; empty where nobody measured it."""
    if value not in finals:
        return pd.Series(dtype=float)
    return finals.groupby("method", sort=False)[value].mean().dropna()


def _by_seed(finals: pd.DataFrame, value: str) -> pd.DataFrame:
    """``value`` with a row a seed and a column a method, only seeds that all methods have."""
    return finals.pivot(index="seed", columns="method", values=value).dropna()


def _in_seeds(holds: pd.Series, what: str) -> str:
    """How many single seeds a statement about means holds for; empty where there is but one."""
    return f"; {holds.sum()} of {len(holds)} seeds {what}" if len(holds) > 1 else ""


def _words(parts: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
