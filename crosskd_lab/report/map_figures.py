"""Maps over an image: positives, conflicting targets (Fig. 2, 3), where losses pull (Fig. 5)."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.patheffects
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from ..errors import LabError
from .figures import WIDTH, Style, sheet, styles
from .stats import need, summarise

BOX = "#E69F00"  # Okabe and Ito's orange: on scenes, and on the dark end of viridis


def maps_figure(
    image: NDArray[np.uint8],
    boxes: NDArray | Sequence[Sequence[float]],
    maps: Mapping[str, NDArray],
    title: str,
    top: float | None = None,
    label: str = "",
    circled: int = 0,
) -> Figure:
    """An image ``(H, W, 3)`` and maps ``(H, W)`` in a row, boxes ``(G, 4)`` xyxy on all of them.

    ``top`` is the value of the brightest colour (None: the largest of all maps), ``label`` what the
    colours say; of the first two maps the ``circled`` largest differences are circled in all
    panels.
    """
    top = max(float(np.max(values)) for values in maps.values()) if top is None else top
    panels = 1 + len(maps)
    height = 0.8 + WIDTH / panels * image.shape[0] / image.shape[1]
    figure, axes = sheet(title, height, panels, grid=False)
    axes[0].imshow(image)
    bare(axes[0], "image and boxes")
    for ax, (name, values) in zip(axes[1:], maps.items(), strict=True):
        draw_map(ax, values, name, top)
        ax.title.set_fontsize(10.5)
    peaks = []
    if circled:
        one, other, *_ = maps.values()
        peaks = largest_conflicts(one, other, circled)
    for ax in axes:
        draw_boxes(ax, boxes)
        for x, y in peaks:
            draw_circle(ax, x, y, max(image.shape[:2]) / 14)
    figure.colorbar(axes[-1].images[0], ax=axes[-1], shrink=0.8, label=label)
    return figure


ROOT = "square root of its share of the largest"
"""What the colours of :func:`roots` say."""


def roots(maps: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """The square root of each pixel's share of its map's largest value: weak pulls stay visible."""
    wide = {name: np.asarray(values, float) for name, values in maps.items()}
    return {name: np.sqrt(m / m.max()) if m.max() else m for name, m in wide.items()}


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
        box = mpl.patches.Rectangle(corner, right - left, bottom - top, fill=False)
        box.set(edgecolor=BOX, linewidth=1.5)
        ax.add_patch(box)


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
    title: str = "How often the teacher contradicts the assigner",
) -> Figure:
    """Fig. 3: conflict ratio over the threshold, a panel for each of ``by``: "all", "level" ...

    ``frame`` is ``by, group, threshold, ratio`` of a histogram, with several teachers also
    ``teacher``, a line each; groups without a ratio are left out. Thresholds go from 0.1 to 0.9:
    near 0 every location of the background counts.
    """
    need(frame, "by", "group", "threshold", "ratio")
    rows = frame.dropna(subset=["ratio"])
    rows = rows[rows["threshold"].between(0.1 - 1e-9, 0.9 + 1e-9)]
    if rows[rows["by"].isin(by)].empty:
        raise LabError("no positive location was counted: there is no conflict ratio to draw")
    several = "teacher" in rows and rows["teacher"].nunique() > 1
    figure, axes = sheet(title, 4.6, len(by))
    for ax, part in zip(axes, by, strict=True):
        chosen = rows[rows["by"] == part]
        single = chosen["group"].nunique() == 1
        hue = "teacher" if several and single else "group"
        count = chosen[hue].nunique()
        sns.lineplot(
            chosen,
            x="threshold",
            y="ratio",
            hue=hue,
            style="teacher" if several else None,
            palette=sns.color_palette("viridis" if count > 6 else "colorblind", count),
            legend="auto" if several or not single else False,
            linewidth=2,
            ax=ax,
        )
        ax.set_title(TITLES[part], loc="left")
        ax.set(xlabel="threshold of the discrepancy", ylabel="conflicts per positive location")
        ax.set_ylim(bottom=0)
        if (legend := ax.get_legend()) is not None:
            legend.set_title(None)
    return figure


def largest_conflicts(
    truth: NDArray, teacher: NDArray, count: int = 3, least: float = 0.3
) -> list[tuple[int, int]]:
    """Where two maps ``(H, W)`` differ most, by more than ``least``: x and y of at most ``count``
    peaks, the largest first, no two close together.
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


DETECTION = Style("#000000", "*")
AXES = {
    "inside": "share of energy inside boxes",
    "gini": "Gini coefficient over the image",
    "cosine": "cosine with the detection gradient",
}


def concentration_figure(
    frame: pd.DataFrame, *, title: str = "How focused each loss's gradient is"
) -> Figure:
    """Mean and 95 % interval over images of every statistic, a panel each, a row a feature.

    ``frame`` is ``where, i, loss, inside, gini, cosine, area``, a row an image, as
    ``measure_gradients`` gives it; LabError where a column is missing. The dotted line is the
    share of locations inside boxes: what a gradient without focus would have.
    """
    need(frame, "where", "i", "loss", "area", *AXES)
    places = [_place(*key) for key in frame[["where", "i"]].drop_duplicates().values]
    losses = list(frame["loss"].unique())
    looks = {**styles(losses), "detection": DETECTION}
    count = frame["image"].nunique() if "image" in frame else len(frame)
    title = f"{title} (mean and 95 % interval over {count} images)"
    height = 1.8 + 0.28 * len(places) * len(losses)
    figure, axes = sheet(title, height, len(AXES), sharey=True)
    for ax, (value, label) in zip(axes, AXES.items(), strict=True):
        table = summarise(frame, ["where", "i", "loss"], value)
        for at, loss in enumerate(losses):
            rows = table[table["loss"] == loss]
            named, offset = map(_place, rows["where"], rows["i"]), at / (len(losses) + 1)
            where = [places.index(name) + offset for name in named]
            half, (colour, marker) = rows["half_width"].fillna(0), looks[loss]
            ax.errorbar(rows["mean"], where, xerr=half, fmt=marker, color=colour, ms=8, capsize=3)
        ax.set_xlabel(label)
    axes[0].axvline(frame["area"].mean(), color="black", linestyle=":")
    axes[2].axvline(0, color="black", linestyle=":")
    axes[0].set_yticks([at + 0.3 for at in range(len(places))], places, fontsize=11)
    axes[0].invert_yaxis()
    bars = axes[1].containers
    figure.legend(bars, losses, loc="outside lower center", ncols=len(losses), fontsize=11)
    return figure


def _place(where: str, i: int) -> str:
    return "neck, $f_0$" if where == "neck" else f"{where} tower, $f_{i}$"
