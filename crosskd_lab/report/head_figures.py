"""Heads drawn: two towers, the feature that leaves one for the other, and what comes of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

from ..errors import LabError, one_of
from .figures import DPI, WIDTH, Picture

TAUGHT, SPARED, CROSSED, OWN = "#CFE4F2", "#EDEDED", "#FBDDA5", "#FFFFFF"
ARROW = "#0072B2"
LEGEND = {
    "student, taught by CrossKD as well": TAUGHT,
    "student, by annotations alone": SPARED,
    "teacher, crossed by both features": CROSSED,
    "teacher, by its own feature alone": OWN,
}
TITLES = {"cls": "class branch", "reg": "box branch"}
WIDEST, NARROWEST, HIGH = 3.5, 1.3, 0.62  # of a layer's box, to hold words; a row is 1 high


class Layer(NamedTuple):
    """A hidden layer: its kernel as "3×3" (or "fc"), output channels, what follows: "GN, ReLU"."""

    kernel: str
    channels: int
    then: str


class Tower(NamedTuple):
    """A branch of a head: channels of f_0, hidden layers from there up, what it predicts.

    ``begins`` is what f_0 is called.
    """

    neck: int
    layers: tuple[Layer, ...]
    says: str
    begins: str = "neck"

    def channels(self, i: int) -> int:
        """Channels of f_i."""
        return self.layers[i - 1].channels if i else self.neck


class HeadView(NamedTuple):
    """A head to draw: its title, and a tower for each branch, "cls" and "reg"."""

    title: str
    towers: Mapping[str, Tower]


class Delivery(NamedTuple):
    """The teacher's layer i, the student's that stands for it, and by branch how it is fitted."""

    i: int
    own: int
    fitted: Mapping[str, str]


def delivery_figure(student: HeadView, teacher: HeadView, delivery: Delivery) -> Figure:
    """Both heads as towers from the neck up, and f_i^s on its way into the teacher's.

    Boxes are as wide as their layers have channels; towers are level with each other at the
    prediction end, from which layers are counted. LabError where a head has no such layer.
    """
    for head, i in ((student, delivery.own), (teacher, delivery.i)):
        deepest = min(len(tower.layers) for tower in head.towers.values())
        if not 0 <= i <= deepest:
            raise LabError(f"{head.title} has no layer {i}: choose 0 ... {deepest}")
    deep = max(len(t.layers) for head in (student, teacher) for t in head.towers.values())
    figure = Picture(figsize=(WIDTH, 0.52 * deep + 2.7), dpi=DPI)
    axes = figure.subplots(1, len(student.towers))
    figure.subplots_adjust(left=0.005, right=0.995, top=0.92, bottom=0.075, wspace=0.01)
    for ax, branch in zip(axes, student.towers, strict=True):
        _branch(ax, student, teacher, delivery, branch, deep)
    title = f"$f_{delivery.own}^s$ goes through the rest of the teacher's head (i = {delivery.i})"
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    handles = [Patch(facecolor=c, edgecolor="black", label=name) for name, c in LEGEND.items()]
    figure.legend(handles=handles, loc="lower center", ncols=4, fontsize=11, frameon=False)
    return figure


def _branch(
    ax: Axes, student: HeadView, teacher: HeadView, delivery: Delivery, branch: str, deep: int
) -> None:
    ours, theirs = student.towers[branch], teacher.towers[branch]
    scale = WIDEST / max(t.channels(i) for t in (ours, theirs) for i in range(len(t.layers) + 1))
    left, right = 1.85, 8.15
    _tower(ax, left, ours, delivery.own, "s", deep, scale)
    _tower(ax, right, theirs, delivery.i, "t", deep, scale)
    row = deep - len(theirs.layers) + delivery.i
    start = (left + scale / 2 * ours.channels(delivery.own), row)
    end = (right - scale / 2 * _text(theirs, delivery.i + 1)[1], row + 1)
    _arrow(ax, start, end)
    note = {"facecolor": "white", "edgecolor": ARROW, "boxstyle": "round,pad=0.3"}
    fitted = delivery.fitted[branch]
    ax.text(5.0, row + 0.5, fitted, ha="center", va="center", fontsize=9.5, bbox=note)
    high = deep + 2.15
    for x, head in ((left, student), (right, teacher)):
        ax.text(x, high, head.title, ha="center", fontsize=11.5, weight="bold")
    ax.text(5.0, high, TITLES[branch], ha="center", fontsize=11.5, style="italic")
    ax.set(xlim=(0, 10), ylim=(-0.5, deep + 2.5))
    ax.set_axis_off()


def _tower(ax: Axes, x: float, tower: Tower, i: int, side: str, deep: int, scale: float) -> None:
    """One tower from the neck up, coloured before and after f_i; the predictions above it."""
    base = deep - len(tower.layers)
    before, after = (TAUGHT, SPARED) if side == "s" else (OWN, CROSSED)
    for k in range(len(tower.layers) + 2):
        text, channels = _text(tower, k)
        wide = max(scale * channels, NARROWEST)
        _box(ax, x, base + k, wide, text, before if k <= i else after)
    for k in range(len(tower.layers) + 1):
        _wire(ax, x, base + k)
        ax.text(x + 0.12, base + k + 0.5, f"$f_{k}^{side}$", fontsize=9, va="center")
    said = "$p^s$" if side == "s" else "$p^t$ and $\\hat{p}^s$"
    ax.text(x, deep + 1.55, f"{said}: {tower.says}", ha="center", va="center", fontsize=10)


def _text(tower: Tower, k: int) -> tuple[str, int]:
    """What stands in the k-th box from the neck, and the channels that make it wide."""
    if k == 0:
        return f"{tower.begins}\n{tower.neck} channels", tower.neck
    if k > len(tower.layers):
        return f"$C_{k}$: predicts", tower.channels(k - 1)
    layer = tower.layers[k - 1]
    return f"$C_{k}$: {layer.kernel}, {layer.channels}\n{layer.then}", layer.channels


def _box(ax: Axes, x: float, y: float, wide: float, text: str, colour: str) -> None:
    corner = (x - wide / 2, y - HIGH / 2)
    box = FancyBboxPatch(corner, wide, HIGH, boxstyle="Round,pad=0,rounding_size=0.12")
    box.set(facecolor=colour, edgecolor="black")
    ax.add_patch(box)
    ax.text(x, y, text, ha="center", va="center", fontsize=9, linespacing=1.05)


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], line: str = "-", what: str = ""
) -> None:
    look: dict[str, Any] = dict(arrowstyle="-|>", mutation_scale=18, color=ARROW, linewidth=2.2)
    ax.add_patch(FancyArrowPatch(start, end, linestyle=line, gid=what, **look))


def _wire(ax: Axes, x: float, y: float) -> None:
    """The line from the box at height ``y`` to the next above it."""
    ax.plot([x, x], [y + HIGH / 2, y + 1 - HIGH / 2], color="black", linewidth=1, zorder=0)


WIDE = 2.2
STUDENT, TEACHER, ASIDE = 1.4, 8.0, 1.9  # where decoders stand, and their memory beside them
DECODER_TITLES = {
    "memory": "the teacher's own queries, reading the student's memory",
    "query": "the student's queries, reading the student's memory",
}


def decoder_figure(layers: int, i: int, delivered: str) -> Figure:
    """Two decoders of L ``layers`` side by side, and what crosses to the teacher's i + 1 ... L.

    ``delivered`` is "memory" or "query"; LabError for another, or an i out of range.
    """
    if not 0 <= i < layers:
        raise LabError(f"i = {i} is out of range: choose 0 ... {layers - 1}")
    one_of("delivered", delivered, DECODER_TITLES)
    queries = delivered == "query"
    figure = Picture(figsize=(WIDTH, 0.85 * layers + 2.4), dpi=DPI)
    ax = figure.add_axes((0.01, 0.01, 0.98, 0.9))
    # by side from the queries up: those that enter the student's layer L come out of 1 ... L - 1
    student = [TAUGHT if queries else SPARED] * layers + [SPARED]
    teacher = [OWN] * (i + 1) + [CROSSED] * (layers - i)
    for x, side, name, memory, colours in (
        (STUDENT, "s", "student's decoder", TAUGHT, student),
        (TEACHER, "t", "teacher's decoder, frozen", OWN, teacher),
    ):
        ax.text(x, layers + 0.75, name, ha="center", fontsize=12, weight="bold")
        _box(ax, x + ASIDE, 0.0, 1.5, f"memory$^{side}$", memory)
        _box(ax, x, 0.0, 1.7, f"queries $f_0^{side}$", colours[0])
        for layer in range(1, layers + 1):
            crossed = f" and $\\hat{{p}}_{layer}^s$" if side == "t" and layer > i else ""
            _box(ax, x, layer, WIDE, f"decoder layer {layer}", colours[layer])
            at = x + WIDE / 2 + 0.15
            ax.text(at, layer + 0.12, f"$p_{layer}^{side}${crossed}", va="center", fontsize=11)
            _wire(ax, x, layer - 1)
            if layer < layers:
                ax.text(x + 0.08, layer + 0.5, f"$f_{layer}^{side}$", va="center", fontsize=10)
    for layer in range(i + 1, layers + 1):
        start = (STUDENT + ASIDE + 0.75, 0.0)
        _arrow(ax, start, (TEACHER - WIDE / 2, layer - 0.12), "--", "student's memory")
        if queries:
            entry = (STUDENT + 0.4, layer - 0.5)
            _arrow(ax, entry, (TEACHER - WIDE / 2, layer + 0.12), "-", "student's query")
    words = "dashed: the student's memory"
    words += "\nsolid: the student's query and reference" * queries
    ax.text(5.2, layers + 0.9, words, ha="center", va="top", fontsize=10, color=ARROW)
    ax.set(xlim=(0, 11.2), ylim=(-0.6, layers + 1.1))
    ax.set_axis_off()
    figure.suptitle(f"i = {i}: {DECODER_TITLES[delivered]}", x=0.01, ha="left", fontsize=13)
    return figure
