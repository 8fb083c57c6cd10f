"""What all figures share: size, colours, how they show themselves and how they are written."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosskd_lab.files import write_whole

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
