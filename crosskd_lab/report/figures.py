"""What all figures share, and records drawn: races, differences, time, plans, a run watched."""

import io
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ..errors import LabError
from ..files import write_whole
from .claims import FAILED, HELD, OPEN
from .stats import need, points

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
    """The style of each method: fixed for those in `STYLES`, in the order of names for others."""
    names = set(methods)
    others = dict(zip(sorted(names - set(STYLES)), cycle(OTHERS), strict=False))
    return {name: look for name, look in (STYLES | others).items() if name in names}


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
    if kind == "png":  # savefig would draw it twice, the first time for its layout alone
        figure.set_dpi(DPI)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        Image.fromarray(np.asarray(canvas.buffer_rgba())).save(buffer, "png", dpi=(DPI, DPI))
        return buffer.getvalue()
    with mpl.rc_context({"svg.hashsalt": "crosskd-lab"}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata={"Date": None})
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
    "AP": ("(c) Average precision of the student\non held-out images", "AP (points, 0 to 100)"),
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
    """
    need(metrics, "method", "seed", "step", *PANELS)
    if metrics[[*PANELS]].isna().all(axis=None):
        raise LabError("nothing has been evaluated yet: there is no curve to draw")
    looks = styles(metrics["method"].unique())
    seeds = metrics["seed"].nunique()
    band = f" (line: mean of {seeds} seeds; band: lowest to highest)" if seeds > 1 else ""
    figure, axes = sheet(title + band, 4.9, len(PANELS))
    for ax, (value, (name, unit)) in zip(axes, PANELS.items(), strict=True):
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
    if teacher_ap is not None:
        axes[-1].set_xlabel(f"training step (the teacher has {teacher_ap:.1f} AP)")
    legend_below(figure, axes[-1])
    return figure


VERDICT_LOOKS = {HELD: ("#0072B2", "o"), FAILED: ("#D55E00", "X"), OPEN: ("#6E6E6E", "s")}


def differences_figure(
    compared: pd.DataFrame,
    *,
    title: str = "What the records say",
    beyond: str = "right of zero: as the paper has it",
    verdicts: bool = True,
) -> Figure:
    """A row a comparison of ``compare_claims``: the paired difference and its 95 % interval beside
    zero. A row without a record stays empty and says so; ``beyond`` says what right of zero means,
    ``verdicts`` whether a legend names the colours' verdicts.
    """
    need(compared, "comparison", "n", "difference", "half_width", "verdict")
    figure, (ax,) = sheet(title, 1.9 + 0.55 * len(compared))
    ax.axvline(0, color="black", linestyle=":")
    for place, row in enumerate(compared.to_dict("records")):
        colour, marker = VERDICT_LOOKS[row["verdict"]]
        half = row["half_width"] if row["n"] > 1 else None
        if row["n"]:
            at = row["difference"], place
            ax.errorbar(*at, xerr=half, fmt=marker, color=colour, ms=9, capsize=4)
    labels = [_said(row) for row in compared.to_dict("records")]
    ax.set_yticks(range(len(labels)), labels, fontsize=11)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    values = " and ".join(compared.get("value", pd.Series(["AP"])).unique())
    ax.set_xlabel(f"difference of {values} over common seeds and its 95 % interval\n{beyond}")
    if verdicts:
        for verdict, (colour, marker) in VERDICT_LOOKS.items():
            ax.plot([], [], marker, color=colour, ms=9, label=verdict)
        legend_below(figure, ax)
    return figure


def _said(row: dict) -> str:
    """A comparison with its number, or that there is none."""
    if not row["n"]:
        return f"{row['comparison']}\n(not recorded)"
    if row["n"] == 1:
        return f"{row['comparison']}\n{row['difference']:+.1f} (one seed)"
    numbers = points(row["difference"], row["half_width"], "+")
    if not row.get("value", "AP").startswith("AP"):
        numbers = f"{row['difference']:+.2f} ± {row['half_width']:.2f}"
    return f"{row['comparison']}\n{numbers} (n = {row['n']})"


def watch_figure(metrics: pd.DataFrame, steps: int = 0, title: str = "") -> Figure:
    """Loss and AP of a run so far, rows of ``read_metrics``, of ``steps`` (0 where unknown).

    The ``title`` says how the run stands, and when that was seen.
    """
    figure, axes = sheet(title, 2.6, 2)
    panels = ("train", "loss", "training loss"), ("val", "AP", "AP (points, 0 to 100)")
    for ax, (kind, name, unit) in zip(axes, panels, strict=True):
        rows = metrics[metrics["kind"] == kind] if len(metrics) else metrics
        if name in rows:
            ax.plot(rows["step"], rows[name], marker="o" if kind == "val" else None)
        else:
            ax.text(0.5, 0.5, "nothing yet", ha="center", transform=ax.transAxes)
        ax.set(xlabel="step", ylabel=unit)
        if steps:
            ax.set_xlim(0, steps)
    return figure
