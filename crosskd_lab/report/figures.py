"""What all figures share, and the figures of methods compared: bars, races, AP with intervals."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import LabError
from ..files import write_whole
from .stats import finished, need, points, summarise

WIDTH, DPI = 12.8, 100  # inches, dots an inch


class Style(NamedTuple):
    """How a method is drawn: a colour, and a marker that tells it without the colour."""

    colour: str
    marker: str


# Okabe and Ito's colours, and below Tol's muted ones: told apart with any colour vision.
STYLES = {
    "none": Style("#6E6E6E", "o"),
    "KD": Style("#E69F00", "s"),
    "CrossKD": Style("#0072B2", "D"),
    "CrossKD+PKD": Style("#009E73", "^"),
    "PKD": Style("#CC79A7", "v"),
    "CrossKD+KD": Style("#56B4E9", "P"),
    "LD": Style("#D55E00", "X"),
}
OTHERS = [
    Style(colour, marker)
    for marker in ("<", ">", "h", "p")
    for colour in ("#882255", "#44AA99", "#332288", "#999933")
]


class Picture(Figure):
    """A matplotlib figure that a notebook shows by itself, without pyplot and its global state."""

    def _repr_png_(self) -> bytes:
        return render(self, "png")


def styles(methods: Iterable[str]) -> dict[str, Style]:
    """The style of each method: fixed for those in `STYLES`, from the name alone for others.

    Unknown names that would look alike are kept apart, by colour while there is one left.
    """
    names = set(methods)
    found = {name: STYLES[name] for name in STYLES if name in names}
    for name in sorted(names - set(found)):
        start = zlib.crc32(name.encode())
        turns = [OTHERS[(start + step) % len(OTHERS)] for step in range(len(OTHERS))]
        taken = {look.colour for look in found.values()}
        free = [one for one in turns if one not in found.values()]
        found[name] = next((one for one in free if one.colour not in taken), (*free, turns[0])[0])
    return found


def save(figure: Figure, path: str | Path) -> list[Path]:
    """Writes a figure as PNG and as SVG beside it, each whole or not at all; returns both paths.

    Args:
        path: where to, with or without ``.png`` or ``.svg``; its folder is made if missing.
    """
    path = Path(path)
    stem = path.stem if path.suffix in (".png", ".svg") else path.name
    written = [path.with_name(f"{stem}.{kind}") for kind in ("png", "svg")]
    for target in written:
        write_whole(target, render(figure, target.suffix[1:]))
    return written


def render(figure: Figure, kind: str) -> bytes:
    """A figure as the bytes of a "png" or "svg" file, the same bytes each time."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    with mpl.rc_context({"svg.hashsalt": "crosskd-lab"}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


IN_A_ROW = 7
"""Entries of a legend that fit the width beside each other."""


def legend_below(figure: Figure, ax: Axes) -> None:
    """Puts the legend of one panel below all of them, where no data is."""
    handles, labels = ax.get_legend_handles_labels()
    for panel in figure.axes:
        if (own := panel.get_legend()) is not None:
            own.remove()
    columns = min(len(labels), IN_A_ROW)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=11)


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
        teacher_ap: the teacher's AP in points, a note below panel (c): its scale is the students'.

    Raises:
        LabError: a column is missing, or there is nothing to draw yet.
    """
    figure = _curves_figure(metrics, PANELS, title)
    if teacher_ap is not None:
        note = f"training step (the teacher has {teacher_ap:.1f} AP)"
        figure.axes[-1].set_xlabel(note, fontsize=11)
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
