"""The maps of notebook 01, drawn once: images with boxes, and scores over them."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..report.figures import DPI, WIDTH, Picture, render
from ..report.map_figures import BOX, bare, draw_boxes
from .galleries import Frames
from .seen import Seen

SCORES, GAPS = "viridis", "cividis"


def conflict_figure(seen: Seen, image: int) -> Figure:
    """Fig. 2 (a) and (b): what the assigner asks and what the teacher says, on one image."""
    asked, said = seen.assigned(), seen.teacher_scores()
    figure = Picture(figsize=(WIDTH, 3.2), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, 4)
    _image(axes[0], seen, image, "the image and its boxes")
    panels = [
        ("the assigner's target, $p^{gt}$", seen.map_of(asked, image), SCORES),
        ("the teacher's score, $p^t$", seen.map_of(said, image), SCORES),
        ("$|\\,p^{gt} - p^t\\,|$", seen.map_of((asked - said).abs(), image), GAPS),
    ]
    for ax, (title, values, colours) in zip(axes[1:], panels, strict=True):
        _map(figure, ax, seen, image, values, title, 1.0, colours)
    return figure


def cross_head_frames(seen: Seen, image: int, layers: Iterable[int], start: int = 3) -> Frames:
    """A slider over i; every frame shows p^s, p_hat^s(i), p^t and |p_hat^s(i) - p^t| as maps."""
    layers = list(layers)
    student, teacher = seen.student_scores(), seen.teacher_scores()
    crossed = {i: seen.cross_scores(i) for i in layers}
    maps = [seen.map_of(scores, image) for scores in (student, teacher, *crossed.values())]
    top = max(float(values.max()) for values in maps)
    frames = {}
    for i in layers:
        figure = Picture(figsize=(WIDTH, 3.7), dpi=DPI, layout="constrained")
        axes = figure.subplots(1, 4)
        figure.suptitle(f"i = {i}", x=0.01, ha="left", fontsize=13)
        panels = [
            ("the student's own, $p^s$", student, SCORES),
            (f"cross-head, $\\hat{{p}}^s$ from $f_{i}^s$", crossed[i], SCORES),
            ("the teacher's, $p^t$", teacher, SCORES),
            ("$|\\,\\hat{p}^s - p^t\\,|$", (crossed[i] - teacher).abs(), GAPS),
        ]
        for ax, (title, scores, colours) in zip(axes, panels, strict=True):
            _map(figure, ax, seen, image, seen.map_of(scores, image), title, top, colours)
        frames[i] = render(figure, "png")
    return Frames(frames, "layer index i", start)


def _image(ax: Axes, seen: Seen, image: int, title: str) -> None:
    ax.imshow(seen.images[image])
    boxes, names = seen.boxes(image)
    draw_boxes(ax, boxes)
    for (left, top, _, _), name in zip(boxes, names, strict=True):
        frame = {"facecolor": BOX, "edgecolor": "none", "pad": 1.2}
        ax.text(left + 2, top + 2, name, fontsize=9, va="top", bbox=frame, clip_on=True)
    bare(ax, title)


def _map(
    figure: Figure,
    ax: Axes,
    seen: Seen,
    image: int,
    values: NDArray[np.float64],
    title: str,
    top: float,
    colours: str,
) -> None:
    drawn = ax.imshow(values, cmap=mpl.colormaps[colours], vmin=0, vmax=top)
    boxes, _ = seen.boxes(image)
    draw_boxes(ax, boxes)
    bar = figure.colorbar(drawn, ax=ax, shrink=0.85)
    bar.ax.tick_params(labelsize=10)
    bare(ax, title)
