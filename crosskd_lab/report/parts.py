"""Which part of L1(p^s, p^gt) makes two methods differ: the positives, or the background."""

from __future__ import annotations

import pandas as pd

from ..errors import LabError
from .page import final_rows
from .stats import need, paired

WHERE = {
    "l1_truth": "all locations",
    "l1_truth_positive": "at positives",
    "l1_truth_background": "on background",
}


def compare_parts(metrics: pd.DataFrame, one: str = "KD", other: str = "CrossKD") -> pd.DataFrame:
    """The last L1(p^s, p^gt) of two methods and its parts, over the seeds that both have.

    ``metrics`` is ``method, seed, step, AP`` and the three columns of `WHERE`, a row an evaluation.

    Returns:
        A row a part: ``where``, the mean of each method under its name, ``n`` seeds,
        ``difference`` of one minus other with its ``half_width`` of 95 % (NaN for one seed). The
        last two rows add up to the first.

    Raises:
        LabError: a column is missing, as in runs from before the parts were measured, or the two
            methods have no seed in common.
    """
    need(metrics, *WHERE)
    finals = final_rows(metrics)
    if finals[[*WHERE]].isna().any(axis=None):
        raise LabError("the parts of L1(p^s, p^gt) were not measured: run these students again")
    means = finals.groupby("method")[[*WHERE]].mean()
    rows = []
    for value, where in WHERE.items():
        found = paired(finals, one, other, value=value)
        row = {"where": where, **{name: means.loc[name, value] for name in (one, other)}}
        rows.append({**row, **dict(zip(found._fields[:3], found[:3], strict=True))})
    return pd.DataFrame(rows)


def tell_parts(compared: pd.DataFrame) -> str:
    """What :func:`compare_parts` found, in words (Markdown)."""
    _, one, other, *_ = compared.columns
    whole, positives, background = compared.to_dict("records")
    larger = max((positives, background), key=lambda part: abs(part["difference"]))
    both = abs(positives["difference"]) + abs(background["difference"])
    share = abs(larger["difference"]) / both if both else 0.5
    lines = [
        f"- {part['where']}: {one} {part[one]:.2f}, {other} {part[other]:.2f}, "
        f"difference {_number(part)}"
        for part in (whole, positives, background)
    ]
    as_paper = "As in" if whole["difference"] > 0 else "Unlike in"
    seeds = whole["n"]
    caution = "One seed: an observation, not a result." if seeds == 1 else f"Over {seeds} seeds."
    return "\n".join(
        [
            *lines,
            "",
            f"{as_paper} Fig. 6(b), {one} ends {_side(whole)} {other} does. "
            f"**{share:.0%} of what makes them differ lies {larger['where']}.** "
            f"At positives alone, {one} ends {_side(positives)} {other}. {caution}",
        ]
    )


def _side(part: dict) -> str:
    """Nearer or farther, where the interval allows to say so."""
    if part["n"] > 1 and abs(part["difference"]) <= part["half_width"]:
        return "neither surely nearer to the truth nor farther from it than"
    return "farther from the truth than" if part["difference"] > 0 else "nearer to the truth than"


def _number(part: dict) -> str:
    half = f" ± {part['half_width']:.2f}" if part["n"] > 1 else ""
    return f"{part['difference']:+.2f}{half}"
