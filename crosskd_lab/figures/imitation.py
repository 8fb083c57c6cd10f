"""A method on one image: the image, its cost among all, what it weighs and where it pulls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from crosskd_lab.figures.look import DPI, WIDTH, Picture
from crosskd_lab.figures.maps import bare, draw_boxes, draw_map
from crosskd_lab.tables.stats import need

CHOSEN, REST = "#0072B2", "#C8C8C8"


def method_figure(
    name: str,
    image: NDArray[np.uint8],
    boxes: NDArray | Sequence[Sequence[float]],
    maps: Mapping[str, NDArray],
    costs: pd.DataFrame,
) -> Figure:
    """Four panels for one method: image and boxes, its cost among all methods', and two maps.

    The maps' colour is the square root of a pixel's share of the map's largest value, so that
    small weights stay visible; a map that is the same everywhere is all of one colour.

    Args:
        name: As in the costs.
        image: ``(H, W, 3)`` RGB bytes.
        boxes: ``(G, 4)`` xyxy in pixels.
        maps: Two maps ``(H, W)`` by title, none below zero.
        costs: ``method, device, own_ms, own_mb``, a row a method, of one device; empty where
            nothing was measured.

    Raises:
        LabError: the costs lack a column.
    """
    need(costs, "method", "device", "own_ms", "own_mb")
    panel = WIDTH / 4
    height = 0.4 + 2 * (panel * image.shape[0] / image.shape[1] + 0.35)
    figure = Picture(figsize=(WIDTH / 2, height), dpi=DPI, layout="constrained")
    rows: Any = figure.subfigures(2, 1)  # apart, so that labels above leave no gap below
    (seen, bars), below = (row.subplots(1, 2) for row in rows)
    seen.imshow(image)
    bare(seen, "image and boxes")
    _bars(bars, name, costs)
    for ax, (title, values) in zip(below, maps.items(), strict=True):
        values = np.asarray(values, float)
        top = values.max()
        draw_map(ax, np.sqrt(values / top) if top else values, title, top=1.0)
        if not top:
            ax.text(0.5, 0.5, "nothing", color="white", ha="center", transform=ax.transAxes)
    for ax in (seen, *below):
        draw_boxes(ax, boxes)
    figure.suptitle(name, x=0.01, ha="left", fontsize=14, weight="bold")
    return figure


def _bars(ax: Axes, name: str, costs: pd.DataFrame) -> None:
    """Milliseconds of every method, this one's in colour with its numbers."""
    ax.set_title("cost", loc="left", fontsize=12)
    ax.spines[["top", "right", "left"]].set_visible(False)
    if costs.empty:
        ax.text(0.5, 0.5, "not measured yet", ha="center", transform=ax.transAxes)
        ax.set_xticks([])
        ax.set_yticks([])
        return
    places = range(len(costs))
    colours = [CHOSEN if method == name else REST for method in costs["method"]]
    ax.barh(places, costs["own_ms"], color=colours)
    ax.set_yticks(places, costs["method"], fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()
    ax.set_xlabel(f"ms over the teacher's forward ({costs['device'].iloc[0]})", fontsize=9.5)
    for place, row in zip(places, costs.itertuples(), strict=True):
        if row.method == name:
            words = f" {row.own_ms:.0f} ms, {row.own_mb:.0f} MB"
            right = row.own_ms > costs["own_ms"].max() / 2
            at = 0.5 if right else row.own_ms
            ax.text(at, place, words, va="center", fontsize=9, color="white" if right else "black")
