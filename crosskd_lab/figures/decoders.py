"""Decoder layers drawn: what of the student's enters the teacher's layers, memory or queries."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from crosskd_lab.errors import LabError
from crosskd_lab.figures.look import DPI, WIDTH, Picture
from crosskd_lab.figures.towers import ARROW, CROSSED, OWN, SPARED, TAUGHT

HIGH, WIDE = 0.6, 2.2
STUDENT, TEACHER, ASIDE = 1.4, 8.0, 1.9  # where decoders stand, and their memory beside them
TITLES = {
    "memory": "the teacher's own queries, reading the student's memory",
    "query": "the student's queries, reading the student's memory",
}


def decoder_figure(layers: int, i: int, delivered: str) -> Figure:
    """Two decoders side by side, and what crosses from the student's to the teacher's.

    Args:
        layers: L of each decoder.
        i: Layers of the teacher that are left out; i + 1 ... L teach.
        delivered: "memory" or "query".

    Raises:
        LabError: for an i out of range or an unknown delivery.
    """
    if not 0 <= i < layers:
        raise LabError(f"i = {i} is out of range: choose 0 ... {layers - 1}")
    if delivered not in TITLES:
        raise LabError(f"delivered = {delivered!r} is unknown: choose {' or '.join(TITLES)}")
    figure = Picture(figsize=(WIDTH, 0.85 * layers + 2.4), dpi=DPI)
    ax = figure.add_axes((0.01, 0.01, 0.98, 0.9))
    _decoder(ax, STUDENT, layers, i, "s", delivered == "query")
    _decoder(ax, TEACHER, layers, i, "t", True)
    start = (STUDENT + ASIDE + 0.75, 0.0)
    for layer in range(i + 1, layers + 1):
        _arrow(ax, start, (TEACHER - WIDE / 2, layer - 0.12), 0.0, "student's memory")
        if delivered == "query":
            entry = (STUDENT + 0.4, layer - 0.5)
            _arrow(ax, entry, (TEACHER - WIDE / 2, layer + 0.12), 0.0, "student's query")
    where = {
        "dashed: the student's memory": 0.25,
        "solid: the student's query and reference": -0.05,
    }
    for line, (words, up) in enumerate(where.items()):
        if line == 0 or delivered == "query":
            ax.text(5.2, layers + up + 0.45, words, ha="center", fontsize=10, color=ARROW)
    for x, name in ((STUDENT, "student's decoder"), (TEACHER, "teacher's decoder, frozen")):
        ax.text(x, layers + 0.75, name, ha="center", fontsize=12, weight="bold")
    ax.set(xlim=(0, 11.2), ylim=(-0.6, layers + 1.1))
    ax.set_axis_off()
    figure.suptitle(f"i = {i}: {TITLES[delivered]}", x=0.01, ha="left", fontsize=13)
    return figure


def _decoder(ax: Axes, x: float, layers: int, i: int, side: str, reached: bool) -> None:
    """Layers from below up, with queries between them, memory at the foot and what they say."""
    _box(ax, x + ASIDE, 0.0, f"memory$^{side}$", TAUGHT if side == "s" else OWN, 1.5)
    _box(ax, x, 0.0, f"queries $f_0^{side}$", OWN if side == "t" else _taught(reached), 1.7)
    for layer in range(1, layers + 1):
        if side == "t":
            colour = CROSSED if layer > i else OWN
            said = f"$p_{layer}^t$ and $\\hat{{p}}_{layer}^s$" if layer > i else f"$p_{layer}^t$"
        else:  # queries that enter layer L come out of layers 1 ... L - 1
            colour, said = _taught(reached and layer < layers), f"$p_{layer}^s$"
        _box(ax, x, layer, f"decoder layer {layer}", colour, WIDE)
        ax.text(x + WIDE / 2 + 0.15, layer + 0.12, said, va="center", fontsize=11)
        ax.plot([x, x], [layer - 1 + HIGH / 2, layer - HIGH / 2], color="black", lw=1, zorder=0)
        if layer < layers:
            ax.text(x + 0.08, layer + 0.5, f"$f_{layer}^{side}$", va="center", fontsize=10)


def _taught(reached: bool) -> str:
    return TAUGHT if reached else SPARED


def _box(ax: Axes, x: float, y: float, text: str, colour: str, wide: float) -> None:
    corner = (x - wide / 2, y - HIGH / 2)
    style = "Round,pad=0,rounding_size=0.1"
    box = FancyBboxPatch(corner, wide, HIGH, boxstyle=style, facecolor=colour, edgecolor="black")
    ax.add_patch(box)
    ax.text(x, y, text, ha="center", va="center", fontsize=10.5)


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], bend: float, what: str
) -> None:
    arrow = FancyArrowPatch(
        start,
        end,
        arrowstyle="-|>",
        mutation_scale=16,
        color=ARROW,
        linewidth=2,
        linestyle="-" if "query" in what else "--",
        connectionstyle=f"arc3,rad={bend}",
        gid=what,
    )
    ax.add_patch(arrow)
