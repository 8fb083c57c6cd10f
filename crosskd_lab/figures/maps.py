"""How a map over an image is drawn, whatever it is a map of."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

BOX, OUTLINE = "#E69F00", "#D55E00"  # Okabe and Ito's orange and vermilion, on viridis and scenes


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


def bare(ax: Axes, title: str) -> None:
    """No ticks: the axes show an image."""
    ax.set_title(title, loc="left", fontsize=12)
    ax.set_xticks([])
    ax.set_yticks([])
