"""Methods compared: the race of Fig. 6, and AP with its intervals."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosskd_lab.errors import LabError
from crosskd_lab.figures.look import DPI, WIDTH, Picture, Style, legend_below, styles
from crosskd_lab.tables.stats import finished, need, points, summarise

PANELS = {
    "l1_teacher": (
        "(a) Mean distance of the student's\npredictions to the teacher's",
        "$L_1(p^s, p^t)$ per positive location",
    ),
    "l1_truth": (
        "(b) Mean distance of the student's\npredictions to the ground-truth targets",
        "$L_1(p^s, p^{gt})$ per positive location",
    ),
    "AP": (
        "(c) Average precision of the student\non held-out images",
        "AP (points, 0 to 100)",
    ),
}
PARTS = {
    "l1_truth": ("All locations", "$L_1(p^s, p^{gt})$ per positive location"),
    "l1_truth_positive": ("of it at positive locations", ""),
    "l1_truth_background": ("of it on background", ""),
}


def race_figure(
    metrics: pd.DataFrame,
    *,
    teacher_ap: float | None = None,
    title: str = "How students of one teacher train",
) -> Figure:
    """The paper's Fig. 6: distance to the teacher, distance to the truth and AP, over steps.

    A line a method, the mean of its seeds where there are several, in a band from the lowest to
    the highest seed.

    Args:
        metrics: columns ``method, seed, step, l1_teacher, l1_truth, AP``, a row an evaluation;
            rows without a value are left out of its panel.
        teacher_ap: the teacher's AP in points, a dotted line in panel (c).

    Raises:
        LabError: a column is missing, or there is nothing to draw yet.
    """
    figure = _curves_figure(metrics, PANELS, title)
    if teacher_ap is not None:
        ax = figure.axes[-1]
        ax.axhline(teacher_ap, color="black", linestyle=":", label="the teacher's AP")
    legend_below(figure, figure.axes[-1])
    return figure


def split_figure(metrics: pd.DataFrame, *, title: str = "Fig. 6(b), taken apart") -> Figure:
    """L1(p^s, p^gt) over steps, and the two parts that it is the sum of, all on one scale.

    Args:
        metrics: columns ``method, seed, step, l1_truth, l1_truth_positive, l1_truth_background``,
            a row an evaluation.

    Raises:
        LabError: a column is missing, or there is nothing to draw yet.
    """
    figure = _curves_figure(metrics, PARTS, title)
    for ax in figure.axes:
        ax.set_ylim(0, 1.08 * metrics[[*PARTS]].max(axis=None))
    legend_below(figure, figure.axes[-1])
    return figure


def ap_figure(
    frame: pd.DataFrame,
    by: str | list[str] = "method",
    *,
    value: str = "AP",
    teacher_ap: float | None = None,
    title: str = "What AP the student ends with, by method",
) -> Figure:
    """AP by method, or by several columns: the mean, its 95 % interval and the single seeds.

    Args:
        frame: a row a run or a row of a paper's table, with ``method`` and ``value`` in points;
            numbers of several sources are drawn apart and labelled with their ``source``.
        by: the columns that name a line of the figure; ``method`` must be one of them.
        teacher_ap: the teacher's AP in points, a dotted line.

    Raises:
        LabError: a column is missing, there is nothing to draw, or a group has a seed twice.
    """
    by = [by] if isinstance(by, str) else list(by)
    table = summarise(frame, by, value)
    if table.empty:
        raise LabError(f"no finished run has a value of {value}: there is nothing to draw")
    several = "source" in table and table["source"].nunique() > 1
    by = ["source", *by] if several else by
    with sns.axes_style("whitegrid"):
        height = 1.6 + 0.38 * len(table)
        figure = Picture(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
        ax = figure.subplots()
        _means_and_intervals(ax, table, finished(frame, *by, value), by, value)
        if teacher_ap is not None:
            ax.axvline(teacher_ap, color="black", linestyle=":", label="the teacher's AP")
            legend_below(figure, ax)
        ax.set_title(title, loc="left", fontsize=13)
        source = f"; source: {table['source'].iloc[0]}" if "source" in table and not several else ""
        marks = "\nline: 95 % interval of the mean; dots: seeds" if table["n"].max() > 1 else ""
        ax.set_xlabel(f"{value} (points, 0 to 100{source}){marks}", fontsize=11)
    return figure


def _curves_figure(metrics: pd.DataFrame, panels: dict[str, tuple[str, str]], title: str) -> Figure:
    """A panel a value side by side, without their legend."""
    need(metrics, "method", "seed", "step", *panels)
    if metrics[[*panels]].isna().all(axis=None):
        raise LabError("nothing has been evaluated yet: there is no curve to draw")
    looks = styles(metrics["method"].unique())
    seeds = metrics["seed"].nunique()
    band = f" (line: mean of {seeds} seeds; band: lowest to highest)" if seeds > 1 else ""
    with sns.axes_style("whitegrid"):
        figure = Picture(figsize=(WIDTH, 4.9), dpi=DPI, layout="constrained")
        for ax, value in zip(figure.subplots(1, len(panels)), panels, strict=True):
            _curves(ax, metrics, value, looks, *panels[value])
    figure.suptitle(title + band, x=0.01, ha="left", fontsize=13)
    return figure


def _curves(
    ax: Axes,
    metrics: pd.DataFrame,
    value: str,
    looks: dict[str, Style],
    title: str,
    unit: str,
) -> None:
    sns.lineplot(
        metrics.dropna(subset=[value]),
        x="step",
        y=value,
        hue="method",
        style="method",
        hue_order=list(looks),
        style_order=list(looks),
        palette={name: look.colour for name, look in looks.items()},
        markers={name: look.marker for name, look in looks.items()},
        dashes=False,
        errorbar=("pi", 100),
        linewidth=2,
        markersize=7,
        ax=ax,
    )
    ax.set_title(title, loc="left", fontsize=12)
    ax.set_xlabel("training step", fontsize=11)
    ax.set_ylabel(unit, fontsize=11)


def _means_and_intervals(
    ax: Axes, table: pd.DataFrame, runs: pd.DataFrame, by: list[str], value: str
) -> None:
    """A row a group from the top: mean with its interval, seeds below it, numbers at the right."""
    looks = styles(table["method"].unique())
    places = range(len(table))
    for place, group in zip(places, table.to_dict("records"), strict=True):
        colour, marker = looks[group["method"]]
        half = [group["half_width"]] if group["n"] > 1 else None
        ax.errorbar([group["mean"]], [place], xerr=half, fmt=marker, color=colour, ms=9, capsize=4)
        if group["n"] > 1:
            seeds = runs[(runs[by] == pd.Series(group)[by]).all(axis=1)][value]
            ax.scatter(seeds, [place + 0.25] * len(seeds), s=12, color=colour, alpha=0.7)
    groups = table.to_dict("records")
    ax.set_yticks(places, [_label(group, by) for group in groups], fontsize=11)
    ax.set_ylim(len(table) - 0.4, -0.6)
    numbers = ax.secondary_yaxis("right")
    numbers.set_yticks(places, [_number(group) for group in groups], fontsize=11)
    numbers.tick_params(length=0)
    ax.grid(axis="y", visible=False)


def _label(group: dict, by: list[str]) -> str:
    words = " ".join(str(group[name]) for name in by if name != "source").strip()
    return f"{words} ({group['source']})" if "source" in by else words


def _number(group: dict) -> str:
    if group["n"] > 1:
        return f"{points(group['mean'], group['half_width'])} (n = {group['n']})"
    # The paper does not say how many runs are behind a number.
    return f"{group['mean']:.1f}" + ("" if group.get("source") == "paper" else " (one seed)")
