"""Means, intervals, paired comparisons and rank orders over data frames with one row a run."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ..errors import LabError

# Sign flips of up to 16 pairs are counted one by one; beyond that as many are drawn at random.
SIGN_FLIPS = 2**16

STRAY = 0.6
"""AP (points) below which no interval is printed: few seeds can agree by luck, while whole runs
made again with another rounding ended up to so far apart (docs/results.md; a test holds the two
together)."""


class Paired(NamedTuple):
    """How much better a method is than a baseline under the same seeds.

    ``difference`` is the mean of value(method) - value(baseline) over ``n`` seeds, ``half_width``
    that of its 95 % interval. ``p_t`` is the paired t-test's, ``p_sign_flip`` from flipping the
    signs of the differences, both two-sided; with one seed NaN, NaN and 1.
    """

    n: int
    difference: float
    half_width: float
    p_t: float
    p_sign_flip: float


def half_width(values: pd.Series | np.ndarray) -> float:
    """Half the width of the mean's 95 % interval, t_{0.975, n-1} s / sqrt(n); NaN for n = 1."""
    n = len(values)
    if n < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))


def points(mean: float, half: float = float("nan"), sign: str = "") -> str:
    """AP or a difference of AP, in points, as it is printed: one decimal, ± ``half`` its interval.

    A difference (``sign`` "+") has two where one would not tell on which side of zero its interval
    ends. NaN is a dash; of a half below ``STRAY`` only that is said.
    """
    if np.isnan(mean):
        return "–"
    digits = 2 if sign and round(abs(mean), 1) == round(half, 1) >= STRAY else 1
    spread = f" ± {half:.{digits}f}" if round(half, 1) >= STRAY else f" ± <{STRAY}"
    return f"{round(mean, digits) + 0.0:{sign}.{digits}f}" + ("" if np.isnan(half) else spread)


def summarise(frame: pd.DataFrame, by: str | list[str], value: str = "AP") -> pd.DataFrame:
    """One row a group: ``n``, ``mean`` and ``half_width`` of the 95 % interval (Student's t).

    Rows that are not "done" (where there is a ``status``) or lack the value are left out. A frame
    with a ``source`` is grouped by it too, so that no mean mixes sources. Groups keep their order.
    LabError where a group holds a seed twice: such runs are no repetition.
    """
    by = [by] if isinstance(by, str) else list(by)
    by = ["source", *by] if "source" in frame and "source" not in by else by
    rows = finished(frame, *by, value)
    if "seed" in rows or "source" in rows:
        _check_seeds(rows, by)
    groups = rows.groupby(by, sort=False, dropna=False)[value]
    return groups.agg(n="count", mean="mean", half_width=half_width).reset_index()


def paired(
    frame: pd.DataFrame, method: str, baseline: str, on: str = "seed", value: str = "AP"
) -> Paired:
    """Compares two methods run by run; see :func:`differences`."""
    found = differences(frame, method, baseline, on, value)
    mean, half = float(found.mean()), half_width(found)
    return Paired(len(found), mean, half, _t_test(found), _sign_flip_test(found))


def differences(
    frame: pd.DataFrame, method: str, baseline: str, on: str = "seed", value: str = "AP"
) -> np.ndarray:
    """``value`` of a method minus that of another, ``(n,)``: one for each seed that both have.

    LabError where a method has a seed twice, none is common, or rows come from several sources.
    """
    rows = finished(frame, "method", on, value)
    rows = rows[rows["method"].isin([method, baseline])]
    if "source" in rows and rows["source"].nunique() > 1:
        raise LabError("runs of several sources cannot be paired: choose one of them")
    _check_seeds(rows, ["method"], on)
    values = rows.pivot(index=on, columns="method", values=value)
    both = values.reindex(columns=[method, baseline]).dropna()
    if both.empty:
        raise LabError(f"{method} and {baseline} have no {on} in common: run both with the same")
    return (both[method] - both[baseline]).to_numpy()


def finished(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The rows that came to their end and have a number in the last of ``columns``."""
    need(frame, *columns)
    # A row without a status, such as the paper's among runs, is a result by itself.
    rows = frame[frame["status"].fillna("done") == "done"] if "status" in frame else frame
    return rows.dropna(subset=[columns[-1]])


def need(frame: pd.DataFrame, *columns: str) -> None:
    """Raises a LabError that names the columns which ``frame`` lacks."""
    missing = [name for name in columns if name not in frame]
    if missing:
        raise LabError(f"the table has no {', '.join(missing)}: it has {', '.join(frame.columns)}")


def _check_seeds(rows: pd.DataFrame, by: list[str], on: str = "seed") -> None:
    keys = [*by, on] if on in rows else by  # a paper's row is one number, without a seed
    twice = rows[rows.duplicated(keys)]
    if not twice.empty:
        what = ", ".join(f"{name} {twice.iloc[0][name]}" for name in keys)
        raise LabError(f"there are several runs of {what}: name what tells them apart or drop one")


def _t_test(difference: np.ndarray) -> float:
    if len(difference) < 2:
        return float("nan")
    if np.ptp(difference) == 0:
        return 1.0 if difference[0] == 0 else 0.0
    return float(stats.ttest_1samp(difference, 0.0).pvalue)


def _sign_flip_test(difference: np.ndarray) -> float:
    if len(difference) < 2:
        return 1.0
    test = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=SIGN_FLIPS, random_state=0
    )
    return float(test.pvalue)


RESAMPLES, EXACT = 2000, 7  # up to 7 pairs all orders are counted one by one


class Ordering(NamedTuple):
    """Spearman's rank correlation ``rho`` over ``n`` pairs; NaN where all are equal on one side.

    ``p`` is two-sided, from all orders of up to ``EXACT`` pairs, else from ``RESAMPLES`` drawn
    ones; ``least`` the smallest that so many pairs can give, 2 / n!.
    ``seen`` is the power: the least rank correlation, of all pairs that could be drawn, of which so
    many find p <= 0.05 eight times in ten; NaN where they find none.
    """

    n: int
    rho: float
    p: float
    least: float
    seen: float


def by_pair(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a pair: ``ratio``, ``n`` seeds, mean ``gain`` and its 95 % ``half_width``.

    ``frame`` is ``pair, ratio, seed, gain``; every row of a pair has the same ratio.
    """
    need(frame, "pair", "ratio", "seed", "gain")
    rows = frame.dropna(subset=["ratio", "gain"])
    return (
        rows.groupby("pair", sort=False)
        .agg(
            ratio=("ratio", "first"),
            n=("gain", "count"),
            gain=("gain", "mean"),
            half_width=("gain", half_width),
        )
        .reset_index()
    )


def find_ordering(frame: pd.DataFrame) -> Ordering:
    """How well ``ratio`` orders the mean ``gain`` of pairs, of a frame as for :func:`by_pair`."""
    points = by_pair(frame)
    n, nan = len(points), float("nan")
    if n < 2:
        return Ordering(n, nan, nan, 1.0, nan)
    ratio, gain = points["ratio"].to_numpy(), points["gain"].to_numpy()
    rho = spearman(ratio, gain)
    least = min(1.0, 2 / math.factorial(n))
    return Ordering(n, rho, _chance(ratio, gain, rho), least, visible_order(n))


@cache
def visible_order(n: int) -> float:
    """The power of n pairs, :class:`Ordering`'s ``seen``, by drawing normal pairs."""
    chance = np.random.default_rng(0)
    x, noise = chance.normal(size=(2, RESAMPLES, n))

    def ranked(y: np.ndarray) -> np.ndarray:  # (RESAMPLES,): Spearman's |rho| of each draw
        apart = (x.argsort(1).argsort(1) - y.argsort(1).argsort(1)) ** 2
        return abs(1 - 6 * apart.sum(1) / (n**3 - n)).round(9)

    alone = ranked(noise)
    # the least |rho| that chance reaches no more than once in twenty
    asked = min((r for r in set(alone) if (alone >= r).mean() <= 0.05), default=2.0)
    for rho in np.arange(0.02, 1, 0.02):
        r = 2 * np.sin(np.pi * rho / 6)  # Pearson's, of normal pairs with this rank correlation
        if (ranked(r * x + math.sqrt(1 - r * r) * noise) >= asked).mean() >= 0.8:
            return round(float(rho), 2)
    return float("nan")


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation; NaN where one side has a single value."""
    if len(set(a)) < 2 or len(set(b)) < 2:
        return float("nan")
    return float(stats.spearmanr(a, b).statistic)


def tell_ordering(found: Ordering) -> str:
    """What the numbers allow one to say, in words."""
    if math.isnan(found.rho):
        return f"too few unlike pairs ({found.n}): there is no order to judge."
    numbers = f"Spearman's rho over {found.n} pairs is {found.rho:+.2f} (p = {found.p:.2f})"
    if found.least > 0.05:
        return (
            f"{numbers}. With {found.n} pairs even a perfect order has p = {found.least:.2f}: this "
            "shows what these pairs did, and cannot show that the ratio predicts anything."
        )
    if found.p > 0.05:
        seen = "of next to 1" if math.isnan(found.seen) else f"of {found.seen:.2f} or more"
        return (
            f"{numbers}: an order that chance alone gives often; no prediction is shown. So many "
            f"pairs find a true order {seen} eight times in ten."
        )
    way = "more" if found.rho > 0 else "less"
    return f"{numbers}: pairs with more conflict gained {way}, beyond what chance would give."


def _chance(ratio: np.ndarray, gain: np.ndarray, rho: float) -> float:
    if math.isnan(rho):
        return float("nan")
    test = stats.permutation_test(
        (ratio,),
        lambda moved: spearman(moved, gain),
        permutation_type="pairings",
        vectorized=False,
        n_resamples=np.inf if len(ratio) <= EXACT else RESAMPLES,
        random_state=0,
    )
    return float(test.pvalue)
