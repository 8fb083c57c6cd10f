"""Fig. 5: where losses pull at a feature, and how focused they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from crosskd_lab.errors import LabError
from crosskd_lab.figures.look import DPI, WIDTH, Picture, Style, styles
from crosskd_lab.figures.maps import bare, draw_boxes, draw_map
from crosskd_lab.tables.stats import need, summarise

DETECTION = Style("#000000", "*")
AXES = {
    "inside": "share of energy inside boxes",
    "gini": "Gini coefficient over the image",
    "cosine": "cosine with the detection gradient",
}


def energy_figure(
    image: NDArray[np.uint8],
    maps: Mapping[str, NDArray],
    boxes: NDArray | Sequence[Sequence[float]] = (),
    *,
    title: str = "Where each loss pulls at the feature",
) -> Figure:
    """Fig. 5: energy maps side by side, each on its own scale, with the boxes on top.

    The colour shows the square root of a pixel's share of the map's largest value, so that weak
    pulls stay visible.

    Args:
        image: ``(H, W, 3)`` RGB bytes.
        maps: Energy ``(H, W)`` by the name of its loss.
        boxes: ``(G, 4)`` xyxy in pixels.

    Raises:
        LabError: without a map.
    """
    if not maps:
        raise LabError("there is no energy map to draw: name one loss or more")
    panels = 1 + len(maps)
    height = 0.7 + WIDTH / panels * image.shape[0] / image.shape[1]
    figure = Picture(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, panels)
    axes[0].imshow(image)
    bare(axes[0], "image and boxes")
    for ax, (name, values) in zip(axes[1:], maps.items(), strict=True):
        values = np.asarray(values, float)
        top = values.max()
        drawn = draw_map(ax, np.sqrt(values / top) if top else values, name, top=1.0)
    for ax in axes:
        draw_boxes(ax, boxes)
    bar = figure.colorbar(drawn, ax=axes[-1], shrink=0.8)
    bar.set_label("$\\sqrt{energy / maximum}$", fontsize=11)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    return figure


def concentration_figure(
    frame: pd.DataFrame, *, title: str = "How focused each loss's gradient is"
) -> Figure:
    """Mean and 95 % interval over images of every statistic, a panel each, a row a feature.

    Args:
        frame: ``where, i, loss, inside, gini, cosine`` and ``area``, a row an image, as
            ``measure_gradients`` gives it. The dotted line is the share of locations inside boxes:
            what a gradient without focus would have.

    Raises:
        LabError: a column is missing.
    """
    need(frame, "where", "i", "loss", "area", *AXES)
    places = [_place(*key) for key in frame.groupby(["where", "i"], sort=False).groups]
    losses = list(frame["loss"].unique())
    looks = {**styles(losses), "detection": DETECTION}
    with sns.axes_style("whitegrid"):
        height = 1.8 + 0.28 * len(places) * len(losses)
        figure = Picture(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
        axes = figure.subplots(1, len(AXES), sharey=True)
    for ax, (value, label) in zip(axes, AXES.items(), strict=True):
        table = summarise(frame, ["where", "i", "loss"], value)
        for at, loss in enumerate(losses):
            _points(ax, table[table["loss"] == loss], places, at / (len(losses) + 1), looks[loss])
        ax.set_xlabel(label, fontsize=11)
    axes[0].axvline(frame["area"].mean(), color="black", linestyle=":")
    axes[2].axvline(0, color="black", linestyle=":")
    axes[0].set_yticks([at + 0.3 for at in range(len(places))], places, fontsize=11)
    axes[0].invert_yaxis()
    figure.legend(
        axes[1].containers, losses, loc="outside lower center", ncols=len(losses), fontsize=11
    )
    count = frame["image"].nunique() if "image" in frame else len(frame)
    figure.suptitle(
        f"{title} (mean and 95 % interval over {count} images)", x=0.01, ha="left", fontsize=13
    )
    return figure


def _points(ax: Axes, rows: pd.DataFrame, places: list[str], offset: float, look: Style) -> None:
    named = map(_place, rows["where"], rows["i"])
    where = [places.index(name) + offset for name in named]
    half = rows["half_width"].fillna(0)
    ax.errorbar(rows["mean"], where, xerr=half, fmt=look.marker, color=look.colour, ms=8, capsize=3)


def _place(where: str, i: int) -> str:
    return "neck, $f_0$" if where == "neck" else f"{where} tower, $f_{i}$"
