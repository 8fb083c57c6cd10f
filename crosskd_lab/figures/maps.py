"""How a map over an image is drawn, whatever it is a map of."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.patheffects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

BOX = "#E69F00"  # Okabe and Ito's orange: on scenes, and on the dark end of viridis


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
