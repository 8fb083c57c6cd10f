"""Table 1 as pictures: what leaves at layer i, what comes out, and which layers learn from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from crosskd_lab.figures.look import WIDTH
from crosskd_lab.figures.maps import bare, draw_boxes, draw_map
from crosskd_lab.tables.stats import need

REACHED, PREDICTED = "#0072B2", "#D55E00"  # Okabe and Ito


def layer_figure(
    image: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    maps: Mapping[str, NDArray[np.float32]],
    reach: pd.DataFrame,
    *,
    title: str = "",
) -> Figure:
    """An image, score maps beside it on one scale from 0 to 1, and below them the gradient's reach.

    Args:
        image: ``(H, W, 3)`` RGB bytes.
        boxes: ``(G, 4)`` xyxy in its pixels.
        maps: ``(H, W)`` by title.
        reach: ``part, norm`` from image to prediction, see :func:`crosskd_lab.analysis.reach`.
        title: Above all.

    Raises:
        LabError: a column is missing.
    """
    need(reach, "part", "norm")
    figure = Figure(figsize=(WIDTH, 6.2), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    above, below = parts
    axes = above.subplots(1, 1 + len(maps))
    axes[0].imshow(image)
    bare(axes[0], "image and boxes")
    for ax, (name, values) in zip(axes[1:], maps.items(), strict=True):
        draw_map(ax, values, name, top=1.0)
    for ax in axes:
        draw_boxes(ax, boxes)
    _bars(below.subplots(), reach)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    return figure


def _bars(ax: Axes, reach: pd.DataFrame) -> None:
    """One bar a part; a part that is not reached says so."""
    top = reach["norm"].max() or 1.0
    places = np.arange(len(reach))
    colours = [PREDICTED if part == "predictors" else REACHED for part in reach["part"]]
    ax.bar(places, reach["norm"] / top, color=colours)
    for place, norm in zip(places, reach["norm"], strict=True):
        text = "not\nreached" if norm == 0 else f"{norm:.2g}"
        ax.annotate(text, (place, norm / top), (0, 3), textcoords="offset points", ha="center")
    ax.set_xticks(places, reach["part"])
    ax.set_yticks([])
    ax.set_ylim(0, 1.3)
    ax.set_title("How strongly the distillation loss pulls at each part's weights", loc="left")
