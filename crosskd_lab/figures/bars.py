"""A table of results as bars with intervals, each by its source."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from crosskd_lab.errors import LabError
from crosskd_lab.figures.look import DPI, WIDTH, Picture
from crosskd_lab.tables.stats import need, points

SOURCE_LOOKS = {"paper": ("#6E6E6E", "//"), "recorded": ("#0072B2", ""), "yours": ("#E69F00", "..")}
"""Colour and hatch of a source."""


def bars_figure(frame: pd.DataFrame, *, metric: str = "AP", title: str = "") -> Figure:
    """One bar a row from the top, with its 95 % interval and its number.

    Args:
        frame: ``source, study, method, variant, n, mean, half_width, stale`` as
            ``crosskd_lab.results.results`` gives them, in the order to draw.
        metric: What ``mean`` is, in points.
        title: First line.

    Raises:
        LabError: a column is missing, or there is no row with a number.
    """
    need(frame, "source", "study", "method", "variant", "n", "mean", "half_width", "stale")
    rows = frame.dropna(subset=["mean"]).to_dict("records")
    if not rows:
        raise LabError(f"no row has a value of {metric}: choose another source or table")
    with sns.axes_style("whitegrid"):
        height = 1.6 + 0.27 * len(rows)
        figure = Picture(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
        ax = figure.subplots()
    for place, row in enumerate(rows):
        colour, hatch = SOURCE_LOOKS[row["source"]]
        half = None if pd.isna(row["half_width"]) else [row["half_width"]]
        ax.barh(place, row["mean"], 0.7, xerr=half, color=colour, hatch=hatch, capsize=3, alpha=0.8)
    numbers = [number_of(row) for row in rows]
    ax.set_yticks(range(len(rows)), [label_of(row) for row in rows], fontsize=10)
    right = ax.secondary_yaxis("right")
    right.set_yticks(range(len(rows)), numbers, fontsize=10)
    right.tick_params(length=0)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.set_title(title, loc="left", fontsize=13)
    ax.set_xlabel(f"{metric} (points, 0 to 100); line: 95 % interval over seeds", fontsize=11)
    here = [name for name in SOURCE_LOOKS if name in {row["source"] for row in rows}]
    looks = [Patch(facecolor=SOURCE_LOOKS[n][0], hatch=SOURCE_LOOKS[n][1], alpha=0.8) for n in here]
    figure.legend(looks, here, loc="outside lower center", ncols=len(here), fontsize=11)
    return figure


def label_of(row: dict) -> str:
    """A row's name: source, study, and method with its variant where that says more."""
    variant = row["variant"] if isinstance(row["variant"], str) else ""
    same = variant.lower() in ("", str(row["method"]).lower())
    return f"{row['source']} · {row['study']} · {row['method']}{'' if same else f' ({variant})'}"


def number_of(row: dict) -> str:
    """The mean, its interval where there is one, and a star for stale records."""
    stale = isinstance(row["stale"], str) and row["stale"]
    return points(row["mean"], row["half_width"]) + (" *" if stale else "")
