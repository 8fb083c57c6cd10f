"""Fig. 2 and 3: where targets conflict, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import NDArray

from crosskd_lab.errors import LabError
from crosskd_lab.figures.look import DPI, WIDTH, Picture
from crosskd_lab.figures.maps import bare, draw_boxes, draw_circle, draw_map
from crosskd_lab.tables.stats import need

TITLES = {
    "all": "overall",
    "level": "by pyramid level",
    "size": "by object size",
    "class": "by class",
}


def conflict_figure(
    frame: pd.DataFrame,
    by: Sequence[str] = ("all", "level", "size"),
    *,
    span: tuple[float, float] = (0.1, 0.9),
    title: str = "How often the teacher contradicts the assigner",
) -> Figure:
    """Fig. 3: conflict ratio over the threshold, overall and in parts, a panel each.

    Groups without positives have no ratio and are left out.

    Args:
        frame: ``by, group, threshold, ratio`` as a tally's frame has them; with several teachers a
            column ``teacher``, a line each in every panel, told apart by dashes.
        by: The panels: "all", "level", "size", "class".
        span: Lowest and highest threshold drawn; near 0 every location of the background counts.

    Raises:
        LabError: a column is missing, or there is nothing to draw.
    """
    need(frame, "by", "group", "threshold", "ratio")
    rows = frame[frame["threshold"].between(span[0] - 1e-9, span[1] + 1e-9)].dropna(
        subset=["ratio"]
    )
    if rows[rows["by"].isin(by)].empty:
        raise LabError("no positive location was counted: there is no conflict ratio to draw")
    with sns.axes_style("whitegrid"):
        figure = Picture(figsize=(WIDTH, 4.6), dpi=DPI, layout="constrained")
        axes = figure.subplots(1, len(by), squeeze=False)[0]
    for ax, part in zip(axes, by, strict=True):
        chosen = rows[rows["by"] == part]
        names = list(chosen["group"].unique())
        several = "teacher" in chosen and chosen["teacher"].nunique() > 1
        line = {"style": "teacher"} if several else {}
        if several and len(names) == 1:
            line = {"hue": "teacher", "style": "teacher"}
        elif len(names) > 1:
            line["hue"] = "group"
        sns.lineplot(
            chosen, x="threshold", y="ratio", linewidth=2, ax=ax, **line, **_palette(line, chosen)
        )
        ax.set_title(TITLES[part], loc="left", fontsize=12)
        ax.set_xlabel("threshold of the discrepancy", fontsize=11)
        ax.set_ylabel("conflicts a positive location", fontsize=11)
        ax.set_ylim(bottom=0)
        if (legend := ax.get_legend()) is not None:
            legend.set_title(None)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    return figure


def target_maps_figure(
    image: NDArray[np.uint8],
    maps: Mapping[str, NDArray],
    boxes: NDArray | Sequence[Sequence[float]] = (),
    *,
    circled: int = 3,
    title: str = "Where the teacher contradicts the assigner (circles)",
) -> Figure:
    """Fig. 2: score maps side by side, the largest conflicts of the first two circled in all.

    Args:
        image: ``(H, W, 3)`` RGB bytes.
        maps: ``(H, W)`` in [0, 1] by title: ground truth, teacher, then any students.
        boxes: ``(G, 4)`` xyxy in pixels.
        circled: How many conflicts at most.

    Raises:
        LabError: for fewer than two maps.
    """
    if len(maps) < 2:
        raise LabError("a conflict has two sides: give the maps of the ground truth and a teacher")
    truth, teacher = list(maps.values())[:2]
    peaks = largest_conflicts(truth, teacher, circled)
    panels = 1 + len(maps)
    height = 0.9 + WIDTH / panels * image.shape[0] / image.shape[1]
    figure = Picture(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, panels)
    axes[0].imshow(image)
    bare(axes[0], "image and boxes")
    draw_boxes(axes[0], boxes)
    for ax, (name, values) in zip(axes[1:], maps.items(), strict=True):
        drawn = draw_map(ax, values, name, top=1.0)
    for ax in axes:
        for x, y in peaks:
            draw_circle(ax, x, y, max(image.shape[:2]) / 14)
    figure.colorbar(drawn, ax=axes[-1], shrink=0.8, label="score")
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    return figure


def largest_conflicts(
    truth: NDArray, teacher: NDArray, count: int = 3, least: float = 0.3
) -> list[tuple[int, int]]:
    """Where two maps differ most: x and y of the peaks, the largest first, no two close together.

    Args:
        truth: ``(H, W)``.
        teacher: ``(H, W)``.
        count: How many at most.
        least: Smaller differences are no conflict.
    """
    apart = np.abs(np.asarray(truth, float) - np.asarray(teacher, float))
    rows, columns = np.indices(apart.shape)
    reach = max(apart.shape) / 7
    peaks: list[tuple[int, int]] = []
    while len(peaks) < count and apart.max() > least:
        # A location covers many pixels with one value: circle the middle of its patch.
        first = np.unravel_index(apart.argmax(), apart.shape)
        near = (np.hypot(rows - first[0], columns - first[1]) < reach) & (apart == apart.max())
        y, x = round(rows[near].mean()), round(columns[near].mean())
        peaks.append((x, y))
        apart[np.hypot(rows - y, columns - x) < 2 * reach] = 0
        apart[first] = 0
    return peaks


def _palette(line: dict[str, str], rows: pd.DataFrame) -> dict[str, object]:
    if "hue" not in line:
        return {"color": "#0072B2"}
    count = rows[line["hue"]].nunique()
    return {"palette": sns.color_palette("viridis" if count > 6 else "colorblind", count)}
