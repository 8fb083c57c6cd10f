"""What all figures share, and the figures of methods compared: bars and races."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..errors import LabError
from ..files import write_whole
from .stats import need

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


def sheet(
    title: str, height: float, panels: int = 1, width: float = WIDTH, grid: bool = True, **own: Any
) -> tuple[Picture, NDArray]:
    """A figure with its title at the left and ``panels`` axes in a row, ``(panels,)``.

    ``height`` and ``width`` in inches; ``own`` goes to matplotlib's ``subplots``.
    """
    sizes: Any = {"axes.titlesize": 12, "axes.labelsize": 11}
    with sns.axes_style("whitegrid" if grid else None), mpl.rc_context(sizes):
        figure = Picture(figsize=(width, height), dpi=DPI, layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False, **own)[0]
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    return figure, axes


def styles(methods: Iterable[str]) -> dict[str, Style]:
    """The style of each method: fixed for those in `STYLES`, from the name alone for others.

    Names that would look alike are kept apart, by colour while there is one left.
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

    The ``path`` may end in ``.png`` or ``.svg``; its folder is made if missing.
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


def race_figure(
    metrics: pd.DataFrame,
    *,
    teacher_ap: float | None = None,
    title: str = "How students of one teacher train",
) -> Figure:
    """The paper's Fig. 6: distance to the teacher, distance to the truth and AP, over steps.

    A line a method, the mean of its seeds where there are several, in a band from the lowest to
    the highest seed. ``metrics`` is ``method, seed, step, l1_teacher, l1_truth, AP``, a row an
    evaluation; ``teacher_ap``, in points, is a note below panel (c): its scale is the students'.

    Raises:
        LabError: a column is missing, or there is nothing to draw yet.
    """
    figure = _curves_figure(metrics, PANELS, title)
    if teacher_ap is not None:
        figure.axes[-1].set_xlabel(f"training step (the teacher has {teacher_ap:.1f} AP)")
    legend_below(figure, figure.axes[-1])
    return figure


def _curves_figure(metrics: pd.DataFrame, panels: dict[str, tuple[str, str]], title: str) -> Figure:
    """A panel a value side by side, without their legend."""
    need(metrics, "method", "seed", "step", *panels)
    if metrics[[*panels]].isna().all(axis=None):
        raise LabError("nothing has been evaluated yet: there is no curve to draw")
    looks = styles(metrics["method"].unique())
    seeds = metrics["seed"].nunique()
    band = f" (line: mean of {seeds} seeds; band: lowest to highest)" if seeds > 1 else ""
    figure, axes = sheet(title + band, 4.9, len(panels))
    for ax, (value, (name, unit)) in zip(axes, panels.items(), strict=True):
        sns.lineplot(
            metrics.dropna(subset=[value]),
            x="step",
            y=value,
            hue="method",
            style="method",
            hue_order=list(looks),
            style_order=list(looks),
            palette={method: look.colour for method, look in looks.items()},
            markers={method: look.marker for method, look in looks.items()},
            dashes=False,
            errorbar=("pi", 100),
            linewidth=2,
            markersize=7,
            ax=ax,
        )
        ax.set_title(name, loc="left")
        ax.set(xlabel="training step", ylabel=unit)
    return figure
