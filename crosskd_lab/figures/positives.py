"""Two assigners over one image: which locations each gives to an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from crosskd_lab.errors import LabError
from crosskd_lab.figures.look import DPI, WIDTH, Picture, Style
from crosskd_lab.figures.maps import bare, draw_boxes

# Each look tells without its colour: a filled dot, an open circle, an open square.
LOOKS = {
    "both": Style("#009E73", "o"),
    "student": Style("#0072B2", "o"),
    "teacher": Style("#D55E00", "s"),
}


class Marks(NamedTuple):
    """Positive locations of one level: ``(n, 2)`` x and y in pixels of the image.

    ``both`` and ``student`` lie where the student's locations are, ``teacher`` at the teacher's.
    """

    stride: int
    both: NDArray
    student: NDArray
    teacher: NDArray


def positives_figure(
    image: NDArray[np.uint8],
    boxes: NDArray | Sequence[Sequence[float]],
    levels: Sequence[Marks],
    student: str,
    teacher: str,
) -> Figure:
    """All levels on one image, then each level that has a positive on its own.

    Args:
        image: ``(H, W, 3)`` RGB bytes.
        boxes: ``(G, 4)`` ground truth, xyxy in pixels.
        levels: Finest first.
        student: Its name, for the title.
        teacher: Its name.

    Raises:
        LabError: without levels.
    """
    if not levels:
        raise LabError("there is no level to draw: give one or more")
    shown = [marks for marks in levels if sum(_counts(marks).values())]
    panels = [("all levels", levels), *((f"stride {m.stride}", [m]) for m in shown)]
    height = 1.55 + WIDTH / max(len(panels), 4) * image.shape[0] / image.shape[1]
    figure = Picture(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, max(len(panels), 4))
    for ax in axes:
        ax.set_axis_off()
    for ax, (name, part) in zip(axes, panels, strict=False):
        ax.set_axis_on()
        ax.imshow(image, alpha=0.6)
        draw_boxes(ax, boxes)
        for marks in part:
            _draw(ax, marks)
        total = {key: sum(_counts(m)[key] for m in part) for key in LOOKS}
        alone = f"{total['student']} student, {total['teacher']} teacher"
        bare(ax, f"{name}\n{total['both']} both\nalone: {alone}")
        ax.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    names = {"both": "for both", "student": "for the student alone"}
    names["teacher"] = "for the teacher alone"
    handles = [axes[0].plot([], [], **_look(key, 9), label=names[key])[0] for key in LOOKS]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=11)
    title = f"Positive locations: {student} student, {teacher} teacher"
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    return figure


def _draw(ax: Axes, marks: Marks) -> None:
    size = 2.6 + 1.6 * np.log2(marks.stride / 8 + 1)
    for key in LOOKS:
        ax.plot(*getattr(marks, key).reshape(-1, 2).T, **_look(key, size))


def _look(key: str, size: float) -> dict:
    colour, marker = LOOKS[key]
    face = colour if key == "both" else "none"
    own = {"linestyle": "none", "marker": marker, "markersize": size}
    return {**own, "markeredgecolor": colour, "markerfacecolor": face, "markeredgewidth": 2}


def _counts(marks: Marks) -> dict[str, int]:
    return {key: len(getattr(marks, key)) for key in LOOKS}
