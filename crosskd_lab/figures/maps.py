"""How a map over an image is drawn, whatever it is a map of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.patheffects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from crosskd_lab.figures.look import DPI, WIDTH, Picture

BOX = "#E69F00"  # Okabe and Ito's orange: on scenes, and on the dark end of viridis


def maps_figure(
    image: NDArray[np.uint8],
    boxes: NDArray | Sequence[Sequence[float]],
    maps: Mapping[str, NDArray],
    title: str,
    top: float | None = None,
) -> Figure:
    """An image and maps over it in a row, with the boxes on all of them.

    Args:
        image: ``(H, W, 3)`` RGB bytes.
        boxes: ``(G, 4)`` xyxy in pixels.
        maps: ``(H, W)`` by title.
        title: Of the whole.
        top: The value of the brightest colour; None: the largest of all maps.
    """
    panels = 1 + len(maps)
    height = 0.8 + WIDTH / panels * image.shape[0] / image.shape[1]
    figure = Picture(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, panels)
    axes[0].imshow(image)
    bare(axes[0], "image and boxes")
    top = max(float(np.max(values)) for values in maps.values()) if top is None else top
    for ax, (name, values) in zip(axes[1:], maps.items(), strict=True):
        draw_map(ax, values, name, top)
        ax.title.set_fontsize(10.5)
    for ax in axes:
        draw_boxes(ax, boxes)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    return figure


def draw_map(ax: Axes, values: NDArray, title: str, top: float | None = None) -> AxesImage:
    """A map ``(H, W)`` from 0 to ``top`` (its own maximum by default)."""
    top = float(np.max(values)) if top is None else top
    drawn = ax.imshow(values, cmap="viridis", vmin=0, vmax=top or 1.0)
    bare(ax, title)
    return drawn


def draw_boxes(ax: Axes, boxes: NDArray | Sequence[Sequence[float]]) -> None:
    """Outlines of ``(G, 4)`` xyxy boxes in pixels."""
    for left, top, right, bottom in boxes:
        corner = (left - 0.5, top - 0.5)
        ax.add_patch(
            mpl.patches.Rectangle(
                corner, right - left, bottom - top, fill=False, edgecolor=BOX, linewidth=1.5
            )
        )


def draw_circle(ax: Axes, x: float, y: float, radius: float) -> None:
    """A white circle with a black rim, to be seen on any image; pixels."""
    rim = mpl.patheffects.withStroke(linewidth=4, foreground="black")
    circle = mpl.patches.Circle((x, y), radius, fill=False, color="white", linewidth=2)
    circle.set_path_effects([rim])
    ax.add_patch(circle)


def bare(ax: Axes, title: str) -> None:
    """No ticks: the axes show an image."""
    ax.set_title(title, loc="left", fontsize=12)
    ax.set_xticks([])
    ax.set_yticks([])
