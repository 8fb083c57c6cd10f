"""The paper's claims as comparisons of recorded rows, and what the records say of each.

A claim holds if every one of its comparisons has a 95 % interval above zero, it does not if one
has its interval below zero, and in between the data do not decide. Seeds are paired; no claim is
judged from fewer than three.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from crosskd_lab.declared import RECORDED
from crosskd_lab.tables.measured import compare_rows, measured_runs

FEWEST = 3
"""Seeds without which nothing is decided: two that agree by luck have a very short interval."""
HELD, FAILED, OPEN = "held", "did not hold", "not decided by these data"


class Comparison(NamedTuple):
    """``better`` ends above ``worse``, two rows of a sweep."""

    sweep: str
    better: str
    worse: str


class Claim(NamedTuple):
    """What the paper says, where, and which comparisons would have to show it."""

    says: str
    where: str
    comparisons: tuple[Comparison, ...]


def _table1(better: str, worse: str) -> Comparison:
    return Comparison("table1", better, worse)


CLAIMS: dict[str, Claim] = {
    "every position": Claim(
        "CrossKD helps wherever the feature is taken from, i = 0 ... 4",
        "Tab. 1",
        tuple(_table1(f"crosskd_{i}", "none") for i in range(5)),
    ),
    "the middle": Claim(
        "A position inside the tower (i = 3) is better than either end",
        "Tab. 1",
        (_table1("crosskd_3", "crosskd_0"), _table1("crosskd_3", "crosskd_4")),
    ),
    "mimicking": Claim(
        "CrossKD is better than mimicking with the student's own head",
        "Tab. 1",
        (_table1("crosskd_3", "kd"),),
    ),
    "features": Claim(
        "CrossKD is better than imitating features (PKD on the neck)",
        "Tab. 2",
        (Comparison("table2", "crosskd", "pkd_neck"),),
    ),
    "adding KD back": Claim(
        "Mimicking added to CrossKD makes it worse",
        "Tab. 4",
        (Comparison("table4", "crosskd", "crosskd_kd"),),
    ),
    "unlike teachers": Claim(
        "A teacher of another kind spoils mimicking, but not CrossKD",
        "Tab. 7",
        tuple(
            Comparison("table7", *pair)
            for kind in ("atss", "retinanet")
            for pair in (("none", f"kd_from_{kind}"), (f"crosskd_from_{kind}", "none"))
        ),
    ),
    "at length": Claim(
        "CrossKD is better than no teacher and than mimicking after twelve epochs, too",
        "Tab. 1, slow regime",
        (Comparison("regime", "crosskd", "none"), Comparison("regime", "crosskd", "kd")),
    ),
}
"""The claims that recorded AP alone can judge, by a short name."""


def compare_claims(
    claims: Mapping[str, Claim] = CLAIMS, recorded: str | Path = RECORDED
) -> pd.DataFrame:
    """One row a comparison of every claim.

    Returns:
        ``claim``; ``comparison`` in words; ``n`` common seeds; ``difference`` in points, expected
        above zero, with its ``half_width`` of 95 % (NaN below two seeds); ``verdict`` of this
        comparison alone; ``stale``, in words, where the code of today begins otherwise.
    """
    sweeps = {c.sweep for claim in claims.values() for c in claim.comparisons}
    runs = {name: measured_runs(name, recorded) for name in sorted(sweeps)}
    rows = []
    for name, claim in claims.items():
        for sweep, better, worse in claim.comparisons:
            frame = runs[sweep]
            found = compare_rows(frame, better, worse)
            numbers = (found.n, found.difference, found.half_width) if found else (0, *[np.nan] * 2)
            used = frame[frame["row"].isin([better, worse])]
            rows.append(
                {
                    "claim": name,
                    "comparison": f"{better} above {worse}",
                    **dict(zip(("n", "difference", "half_width"), numbers, strict=True)),
                    "verdict": verdict_of(numbers[1], numbers[2], int(numbers[0])),
                    "stale": "; ".join(sorted({text for text in used["stale"] if text})),
                }
            )
    return pd.DataFrame(rows)


def judge_claims(compared: pd.DataFrame, claims: Mapping[str, Claim] = CLAIMS) -> pd.DataFrame:
    """One row a claim: what it says, where, its verdict, and the seeds behind it.

    Args:
        compared: As :func:`compare_claims` gives it.
        claims: The claims that it is of.
    """
    rows = []
    for name, part in compared.groupby("claim", sort=False):
        claim = claims[str(name)]
        rows.append(
            {
                "claim": name,
                "says": claim.says,
                "where": claim.where,
                "verdict": joint(part["verdict"]),
                "seeds": int(part["n"].min()),
            }
        )
    return pd.DataFrame(rows)


def verdict_of(difference: float, half_width: float, n: int) -> str:
    """Held, did not hold, or not decided: where zero lies to the interval of ``n`` differences."""
    if n < FEWEST or math.isnan(difference) or math.isnan(half_width):
        return OPEN
    if difference - half_width > 0:
        return HELD
    return FAILED if difference + half_width < 0 else OPEN


def joint(verdicts: Iterable[str]) -> str:
    """The verdict on a claim that needs all of its comparisons."""
    found = set(verdicts)
    if FAILED in found:
        return FAILED
    return HELD if found == {HELD} else OPEN


def conflict_claim(ratios: Mapping[str, float]) -> Claim:
    """Conflict predicts harm: of two teachers, mimicking gains less from the more contradictory.

    Args:
        ratios: Conflict ratio by the row of the sweep ``pairs`` that mimics the teacher.
    """
    order = sorted(ratios, key=lambda row: ratios[row])
    pairs = zip(order, order[1:], strict=False)
    return Claim(
        "The more a teacher contradicts the assigner, the less mimicking gains",
        "Fig. 3, Tab. 7",
        tuple(Comparison("pairs", less, more) for less, more in pairs),
    )
