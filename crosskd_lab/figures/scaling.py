"""A plan as a picture: hours and efficiency over the number of GPUs."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosskd_lab.errors import LabError
from crosskd_lab.figures.look import DPI, WIDTH, Picture
from crosskd_lab.tables.stats import need

BLUE, GREY = "#0072B2", "#6E6E6E"


def scaling_figure(plan: pd.DataFrame, *, title: str = "What more GPUs would buy") -> Figure:
    """Hours of the whole run, and images a second against as many single GPUs.

    Args:
        plan: ``gpus, machines, hours, efficiency`` as :func:`crosskd_lab.forecast.outlook` gives
            them. Several machines are drawn hollow.

    Raises:
        LabError: a column is missing, or there is no row.
    """
    need(plan, "gpus", "machines", "hours", "efficiency")
    if plan.empty:
        raise LabError("the plan has no row: there is nothing to draw")
    with sns.axes_style("whitegrid"):
        figure = Picture(figsize=(WIDTH, 4.2), dpi=DPI, layout="constrained")
        left, right = figure.subplots(1, 2)
    _line(left, plan, plan["hours"])
    left.plot(
        plan["gpus"],
        plan["hours"] * plan["efficiency"],
        ":",
        color=GREY,
        label="were communication free",
    )
    left.set_yscale("log")
    left.yaxis.set_major_formatter("{x:g}")
    left.set_ylabel("hours of training", fontsize=11)
    _line(right, plan, 100 * plan["efficiency"])
    right.axhline(100, color=GREY, linestyle=":")
    right.set_ylim(0, 108)
    right.set_ylabel("images a second, % of single GPUs'", fontsize=11)
    left.legend(fontsize=10)
    figure.suptitle(title, fontsize=13)
    return figure


def _line(ax: Axes, plan: pd.DataFrame, values: pd.Series) -> None:
    ax.plot(plan["gpus"], values, "-", color=BLUE)
    for many, words in ((False, "one machine"), (True, "several machines")):
        rows = (plan["machines"] > 1) == many
        fill = "white" if many else BLUE
        ax.plot(
            plan["gpus"][rows],
            values[rows],
            "D",
            color=BLUE,
            markerfacecolor=fill,
            markersize=8,
            label=words if rows.any() else None,
        )
    ax.set_xscale("log", base=2)
    ax.set_xticks(plan["gpus"], [str(n) for n in plan["gpus"]])
    ax.set_xlabel("GPUs", fontsize=11)
