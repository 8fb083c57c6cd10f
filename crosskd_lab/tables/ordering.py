"""Whether one number of a pair, known beforehand, orders what was measured of it with seeds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from crosskd_lab.errors import LabError
from crosskd_lab.tables.stats import half_width, need

RESAMPLES, EXACT = 2000, 7  # up to 7 pairs all orders are counted one by one


class Ordering(NamedTuple):
    """Spearman's rank correlation over pairs.

    Attributes:
        n: How many pairs.
        rho: From -1 to 1; NaN for fewer than two pairs, or where all are equal on one side.
        low: 2.5 % and ``high`` 97.5 % quantile of rho when each pair's seeds are drawn anew with
            replacement: how sure the *measured gains* make it. It says nothing of pairs that were
            not measured.
        high: See ``low``.
        p: Two-sided, from all orders of the pairs: what chance alone would reach.
        least: The smallest ``p`` that so many pairs can give, 2 / n!.
    """

    n: int
    rho: float
    low: float
    high: float
    p: float
    least: float


def by_pair(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a pair: ``ratio``, ``n`` seeds, mean ``gain`` and its 95 % ``half_width``.

    Args:
        frame: ``pair, ratio, seed, gain``, a row a pair and seed.

    Raises:
        LabError: a column is missing, or a pair has two ratios.
    """
    need(frame, "pair", "ratio", "seed", "gain")
    rows = frame.dropna(subset=["ratio", "gain"])
    groups = rows.groupby("pair", sort=False)
    if (groups["ratio"].nunique() > 1).any():
        raise LabError("a pair has one conflict ratio: these rows give it several")
    return groups.agg(
        ratio=("ratio", "first"),
        n=("gain", "count"),
        gain=("gain", "mean"),
        half_width=("gain", half_width),
    ).reset_index()


def find_ordering(frame: pd.DataFrame) -> Ordering:
    """How well ``ratio`` orders the mean ``gain`` of pairs.

    Args:
        frame: See :func:`by_pair`.

    Raises:
        LabError: as :func:`by_pair`.
    """
    points = by_pair(frame)
    n, nan = len(points), float("nan")
    if n < 2:
        return Ordering(n, nan, nan, nan, nan, 1.0)
    ratio, gain = points["ratio"].to_numpy(), points["gain"].to_numpy()
    rho = spearman(ratio, gain)
    chance = np.random.default_rng(0)
    seeds = [frame.loc[frame["pair"] == pair, "gain"].dropna() for pair in points["pair"]]
    drawn = [
        spearman(ratio, [chance.choice(one, len(one)).mean() for one in seeds])
        for _ in range(RESAMPLES)
    ]
    drawn = [value for value in drawn if not math.isnan(value)]
    low, high = np.quantile(drawn, (0.025, 0.975)) if drawn else (nan, nan)
    least = min(1.0, 2 / math.factorial(n))
    return Ordering(n, rho, float(low), float(high), _chance(ratio, gain, rho), least)


def spearman(a: np.ndarray, b: np.ndarray | list[float]) -> float:
    """Rank correlation; NaN where one side has a single value."""
    if len(set(a)) < 2 or len(set(b)) < 2:
        return float("nan")
    return float(stats.spearmanr(a, b).statistic)


def tell_ordering(found: Ordering) -> str:
    """What the numbers allow one to say, in words."""
    if found.n < 3:
        said = {0: "No pair has", 1: "One pair has"}.get(found.n, "Two pairs have")
        return f"{said} both a conflict ratio and recorded gains: there is no order to judge."
    if math.isnan(found.rho):
        return f"All {found.n} pairs are equal on one side: there is no order to judge."
    numbers = (
        f"Spearman's rho over {found.n} pairs is {found.rho:+.2f} (redrawing seeds: "
        f"{found.low:+.2f} to {found.high:+.2f}; p = {found.p:.2f})"
    )
    if found.least > 0.05:
        return (
            f"{numbers}. With {found.n} pairs even a perfect order has p = {found.least:.2f}: this "
            "shows what these pairs did, and cannot show that the ratio predicts anything."
        )
    if found.p > 0.05:
        return f"{numbers}: an order that chance alone gives often; no prediction is shown."
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
