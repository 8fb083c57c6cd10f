"""The figures of a lesson, drawn once: images with boxes, scores as maps, curves over i."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..report.figures import DPI, WIDTH, Picture, render
from ..report.map_figures import BOX, bare, draw_boxes
from .galleries import Frames
from .seen import Seen

SCORES, GAPS = "viridis", "cividis"
COLOURS = {"f_i^s": "#D55E00", "aligned": "#0072B2", "f_i^t": "#000000"}
LABELS = {"f_i^s": "student, $f_i^s$", "aligned": "aligned", "f_i^t": "teacher, $f_i^t$"}


def conflict_figure(seen: Seen, image: int) -> Figure:
    """Fig. 2 (a) and (b): what the assigner asks and what the teacher says, on one image."""
    asked, said = seen.assigned(), seen.teacher_scores()
    figure = Picture(figsize=(WIDTH, 3.2), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, 4)
    _image(axes[0], seen, image, "the image and its boxes")
    panels = [
        ("the assigner's target, $p^{gt}$", seen.map_of(asked, image), SCORES),
        ("the teacher's score, $p^t$", seen.map_of(said, image), SCORES),
        ("$|\\,p^{gt} - p^t\\,|$", seen.map_of((asked - said).abs(), image), GAPS),
    ]
    for ax, (title, values, colours) in zip(axes[1:], panels, strict=True):
        _map(figure, ax, seen, image, values, title, 1.0, colours)
    return figure


def cross_head_frames(seen: Seen, image: int, layers: Iterable[int], start: int = 3) -> Frames:
    """A slider over i; every frame shows p^s, p_hat^s(i), p^t and |p_hat^s(i) - p^t| as maps."""
    layers = list(layers)
    student, teacher = seen.student_scores(), seen.teacher_scores()
    crossed = {i: seen.cross_scores(i) for i in layers}
    maps = [seen.map_of(scores, image) for scores in (student, teacher, *crossed.values())]
    top = max(float(values.max()) for values in maps)
    frames = {}
    for i in layers:
        figure = Picture(figsize=(WIDTH, 3.7), dpi=DPI, layout="constrained")
        axes = figure.subplots(1, 4)
        figure.suptitle(f"i = {i}", x=0.01, ha="left", fontsize=13)
        panels = [
            ("the student's own, $p^s$", student, SCORES),
            (f"cross-head, $\\hat{{p}}^s$ from $f_{i}^s$", crossed[i], SCORES),
            ("the teacher's, $p^t$", teacher, SCORES),
            ("$|\\,\\hat{p}^s - p^t\\,|$", (crossed[i] - teacher).abs(), GAPS),
        ]
        for ax, (title, scores, colours) in zip(axes, panels, strict=True):
            _map(figure, ax, seen, image, seen.map_of(scores, image), title, top, colours)
        frames[i] = render(figure, "png")
    return Frames(frames, "layer index i", start)


def alignment_figure(statistics: pd.DataFrame, i: int) -> Figure:
    """Mean and deviation of every channel before and after alignment, channels by the teacher's.

    Args:
        statistics: As :func:`crosskd_lab.notebook.measures.channel_statistics` gives them.
        i: The layer index, for the title.
    """
    figure = Picture(figsize=(WIDTH, 3.9), dpi=DPI, layout="constrained")
    with sns.axes_style("whitegrid"):
        axes = figure.subplots(1, 2)
    for ax, value in zip(axes, ("mean", "std"), strict=True):
        table = statistics.pivot(index="channel", columns="feature", values=value)
        table = table.sort_values("f_i^t").reset_index(drop=True)
        ax.plot(table["f_i^t"], color=COLOURS["f_i^t"], linewidth=5, alpha=0.3)
        ax.plot(table["f_i^s"], "v", color=COLOURS["f_i^s"], ms=5)
        ax.plot(table["aligned"], "o", color=COLOURS["aligned"], ms=4)
        ax.set_title({"mean": "mean", "std": "standard deviation"}[value], loc="left", fontsize=12)
        ax.set_xlabel("channel, in the teacher's order", fontsize=11)
        ax.tick_params(labelsize=10)
    names = [LABELS[name] for name in ("f_i^t", "f_i^s", "aligned")]
    figure.legend(axes[0].lines, names, loc="outside lower center", ncols=3, fontsize=11)
    figure.suptitle(f"Every channel of $f_{i}$ on the finest level", x=0.01, ha="left", fontsize=13)
    return figure


def distance_figure(table: pd.DataFrame) -> Figure:
    """Distance of p_hat^s(i) to p^t over i, a line a student; dashed, the student's own p^s.

    Args:
        table: As :func:`crosskd_lab.notebook.measures.distances` gives it.
    """
    figure = Picture(figsize=(9.0, 4.2), dpi=DPI, layout="constrained")
    with sns.axes_style("whitegrid"):
        ax = figure.subplots()
    palette = zip(table["student"].unique(), ("#6E6E6E", "#0072B2", "#009E73"), "oD^", strict=False)
    for student, colour, marker in palette:
        rows = table[table["student"] == student]
        crossed = rows[rows["i"] != "p^s"]
        own = rows[rows["i"] == "p^s"]["distance"].item()
        style: dict[str, Any] = {"color": colour, "linewidth": 2}
        ax.plot(
            crossed["i"].astype(int),
            crossed["distance"],
            marker=marker,
            markersize=8,
            label=f"{student}: $\\hat{{p}}^s$ from $f_i^s$",
            **style,
        )
        ax.axhline(own, linestyle="--", label=f"{student}: its own $p^s$", **style)
    ax.set_xticks(sorted(set(table["i"]) - {"p^s"}))
    ax.set_ylim(bottom=0)
    ax.set_xlabel("layer index i", fontsize=11)
    ax.set_ylabel(
        "$\\mathcal{D}_{pred}$ of the class branch,\nsummed, per positive location", fontsize=11
    )
    ax.set_title("How far from the teacher's predictions?", loc="left", fontsize=13)
    figure.legend(loc="outside right center", fontsize=11)
    return figure


def gradient_figure(table: pd.DataFrame) -> Figure:
    """Which layers a loss pulls at, a panel a loss; a zero is written out.

    Args:
        table: As :func:`crosskd_lab.notebook.measures.gradient_table` gives it.
    """
    figure = Picture(figsize=(WIDTH, 3.4), dpi=DPI, layout="constrained")
    with sns.axes_style("whitegrid"):
        axes = figure.subplots(1, len(table.columns), sharey=True)
    for ax, loss, colour in zip(axes, table, ("#6E6E6E", "#E69F00", "#0072B2"), strict=True):
        places = np.arange(len(table))
        ax.barh(places, table[loss], color=colour)
        for place, value in zip(places, table[loss], strict=True):
            if value == 0:
                ax.text(0, place, " 0", va="center", fontsize=11)
        ax.set_yticks(places, table.index, fontsize=11)
        ax.set_title(loss, loc="left", fontsize=12)
        ax.set_xlabel("norm of the gradient", fontsize=11)
        ax.grid(axis="y", visible=False)
    axes[0].invert_yaxis()
    return figure


def _image(ax: Axes, seen: Seen, image: int, title: str) -> None:
    ax.imshow(seen.images[image])
    boxes, names = seen.boxes(image)
    draw_boxes(ax, boxes)
    for (left, top, _, _), name in zip(boxes, names, strict=True):
        frame = {"facecolor": BOX, "edgecolor": "none", "pad": 1.2}
        ax.text(left + 2, top + 2, name, fontsize=9, va="top", bbox=frame, clip_on=True)
    bare(ax, title)


def _map(
    figure: Figure,
    ax: Axes,
    seen: Seen,
    image: int,
    values: NDArray[np.float64],
    title: str,
    top: float,
    colours: str,
) -> None:
    drawn = ax.imshow(values, cmap=mpl.colormaps[colours], vmin=0, vmax=top)
    boxes, _ = seen.boxes(image)
    draw_boxes(ax, boxes)
    bar = figure.colorbar(drawn, ax=ax, shrink=0.85)
    bar.ax.tick_params(labelsize=10)
    bare(ax, title)
