"""What a pair's conflict ratio foretold, and what it gained."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from crosskd_lab.errors import LabError
from crosskd_lab.figures.look import DPI, Picture
from crosskd_lab.tables.stats import need


def prediction_figure(
    points: pd.DataFrame, *, title: str = "Does conflict foretell the gain of CrossKD over KD?"
) -> Figure:
    """Mean gain over conflict ratio, a labelled point a pair, with 95 % intervals over seeds.

    Args:
        points: ``pair, ratio, n, gain, half_width`` as :func:`crosskd_lab.tables.by_pair` gives
            them; a pair with one seed has no interval and is drawn hollow.

    Raises:
        LabError: a column is missing, or there is no pair.
    """
    need(points, "pair", "ratio", "n", "gain", "half_width")
    if points.empty:
        raise LabError("no pair has both a conflict ratio and a gain: there is nothing to draw")
    with sns.axes_style("whitegrid"):
        figure = Picture(figsize=(9.0, 4.6), dpi=DPI, layout="constrained")
        ax = figure.subplots()
    middle = (points["ratio"].min() + points["ratio"].max()) / 2
    for row in points.itertuples():
        single = row.n < 2
        ax.errorbar(
            row.ratio,
            row.gain,
            yerr=None if single else row.half_width,
            fmt="D",
            color="#0072B2",
            markerfacecolor="white" if single else "#0072B2",
            markersize=9,
            capsize=5,
        )
        label = f"{row.pair}, {row.n} seed{'' if single else 's'}"
        side, away = ("right", -10) if row.ratio > middle else ("left", 10)  # towards the middle
        place, offset = (row.ratio, row.gain), (away, 4)
        ax.annotate(label, place, offset, textcoords="offset points", ha=side, fontsize=11)
    ax.axhline(0, color="black", linestyle=":")
    ax.margins(x=0.3, y=0.15)
    ax.set_xlabel("conflicts a positive location, before training", fontsize=11)
    ax.set_ylabel("AP of CrossKD - AP of KD, points", fontsize=11)
    ax.set_title(title, loc="left", fontsize=13)
    return figure
