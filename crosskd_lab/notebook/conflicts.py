"""Notebook 04: a pair's target conflicts, image by image and over a set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..configs import RANDOM
from ..conflict import ConflictHistogram, conflict_view
from ..report.figures import DPI, WIDTH, Picture, render
from ..report.map_figures import conflict_figure, target_maps_figure
from ..runs.dataset_analysis import Survey, open_survey, survey_conflict
from ..runs.recipes import teachers
from .galleries import Frames, Menus
from .judge import Wrong, verdict
from .students import lesson_scenes

KINDS = ("gfl_r18_w32", "atss_r18_w32", "retinanet_r18_w32")  # the three of Fig. 3
STUDENT, TEACHER = "pocket/gfl_r18_w16", "gfl_r18_w32"
THRESHOLDS = [round(0.1 * k, 1) for k in range(1, 10)]


def conflict_survey(scale: str, data: str | Path | None = None, teacher: str = TEACHER) -> Survey:
    """The pocket student's assigner beside a teacher, and the held-out images of a set.

    Args:
        scale: "smoke", "cpu" or "gpu".
        data: COCO-format folder with the teacher's classes; the lesson's scenes by default.
        teacher: A shipped teacher's name, a run's folder, or "random".
    """
    config = "pocket/gfl_r18_w32" if teacher == RANDOM else None
    return open_survey(teacher, STUDENT, data or lesson_scenes(scale), teacher_config=config)


def image_frames(
    survey: Survey, images: int = 6, students: Mapping[str, Any] | None = None
) -> Frames:
    """A slider over images: Fig. 2 for each, the largest conflicts circled."""
    frames = {}
    for index, batch in enumerate(islice(survey.batches(1), images)):
        view = conflict_view(survey.pair, batch, students)
        figure = target_maps_figure(view.image, view.maps, view.boxes)
        frames[index] = render(figure, "png")
    return Frames(frames, "image")


def threshold_frames(tally: ConflictHistogram, start: float = 0.5) -> Frames:
    """A control over the threshold: conflicts per positive location, by level, size and class."""
    frame = tally.frame().dropna(subset=["ratio"])
    widest = frame[frame["threshold"] >= THRESHOLDS[0]].groupby("by")["ratio"].max()
    frames = {}
    for threshold in THRESHOLDS:
        figure = Picture(figsize=(WIDTH, 3.9), dpi=DPI, layout="constrained")
        with sns.axes_style("whitegrid"):
            axes = figure.subplots(1, 3)
        at = frame[(frame["threshold"] - threshold).abs() < 1e-9]
        for ax, part in zip(axes, ("level", "size", "class"), strict=True):
            rows = at[at["by"] == part]
            ax.barh(rows["group"], rows["ratio"], color="#0072B2")
            ax.set_xlim(0, 1.05 * widest[part] or 1)  # the same for every threshold
            ax.invert_yaxis()
            ax.grid(axis="y", visible=False)
            ax.set_title(f"by {part}", loc="left", fontsize=12)
            ax.set_xlabel("conflicts per positive location", fontsize=11)
        whole = at[at["by"] == "all"]["ratio"].item()
        title = f"discrepancy > {threshold}: {whole:.3f} conflicts per positive location"
        figure.suptitle(title, x=0.01, ha="left", fontsize=13)
        frames[threshold] = render(figure, "png")
    return Frames(frames, "threshold τ", start)


def count_teachers(
    scale: str, data: str | Path | None, teacher: str
) -> dict[str, ConflictHistogram]:
    """Conflict of one student's assigner with teachers of three kinds, as Fig. 3 has it.

    Args:
        scale: "smoke", "cpu" or "gpu".
        data: Folder of your own; its classes are foreign to shipped teachers, so that only
            ``teacher`` is counted there.
        teacher: Always counted.
    """
    names = [teacher, *(name for name in KINDS if name in teachers() and data is None)]
    return {
        Path(name).name: count(conflict_survey(scale, data, name)) for name in dict.fromkeys(names)
    }


def group_menus(tallies: Mapping[str, ConflictHistogram], classes: int | None = None) -> Menus:
    """Menus of class and level: the conflict ratio over the threshold, a line a teacher.

    Args:
        tallies: By teacher, all over the same set.
        classes: How many classes to offer, those with the most positives; all by default.
    """
    first = next(iter(tallies.values()))
    often = (-first.positives.sum((0, 1))).argsort(kind="stable")[:classes].tolist()
    labels = {"all classes": None, **{first.classes[k]: k for k in sorted(often)}}
    levels = {"all levels": None, **{f"stride {s}": k for k, s in enumerate(first.strides)}}
    figure = Picture(figsize=(9.0, 3.6), dpi=DPI)
    with sns.axes_style("whitegrid"):
        ax = figure.subplots()
    figure.subplots_adjust(left=0.08, right=0.72, bottom=0.16, top=0.9)
    dashes = zip(tallies, ("-", "--", ":", "-."), sns.color_palette("colorblind"), strict=False)
    lines = {
        name: ax.plot([], [], dash, color=c, lw=2.5, label=name)[0] for name, dash, c in dashes
    }
    ax.set_xlabel("threshold of the discrepancy", fontsize=11)
    ax.set_ylabel("conflicts per positive location", fontsize=11)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=11)
    pictures = {}
    for (label, k), (level, at) in product(labels.items(), levels.items()):
        _redraw(lines, tallies, at, k)
        ax.set_title(f"{label}, {level}", loc="left", fontsize=12)
        pictures[label, level] = render(figure, "png")
    return Menus(pictures, ("class", "level"), ("all classes", "all levels"))


def _redraw(
    lines: Mapping[str, Any],
    tallies: Mapping[str, ConflictHistogram],
    level: int | None,
    label: int | None,
) -> None:
    """Move the lines to another group; the axis fits the largest ratio above a threshold of 0.1."""
    top = 0.0
    for name, line in lines.items():
        tally = tallies[name]
        shown = (tally.thresholds >= 0.1) & (tally.thresholds <= 0.9)
        ratios = tally.curve(level, label)[shown]
        line.set_data(tally.thresholds[shown], ratios)
        top = max(top, float(np.nanmax(ratios, initial=0.0)))
    ax = line.axes
    ax.set_xlim(0.1, 0.9)
    ax.set_ylim(0, 1.05 * top or 1)
    for words in list(ax.texts):
        words.remove()
    if not top:
        ax.text(0.5, 0.5, "no positive location here", transform=ax.transAxes, ha="center")


def compare(tallies: Mapping[str, ConflictHistogram]) -> Figure:
    """Fig. 3: one curve a teacher (or a target), overall."""
    frames = [tally.frame().assign(teacher=name) for name, tally in tallies.items()]
    return conflict_figure(pd.concat(frames), ["all"], title="Conflict ratio, as in Fig. 3")


def count(survey: Survey, boxes: str = "teacher") -> ConflictHistogram:
    """Conflict counted over the whole set, see ``survey_conflict``."""
    return survey_conflict(survey, boxes)


@verdict
def check_ratio(ratio: Callable[[Tensor, Tensor, float], float]) -> str:
    """Whether ``ratio(target, teacher, threshold)`` is the conflict ratio of section 3.1.

    Args:
        ratio: Takes two score tensors ``(R, K)`` and a threshold.
    """
    target = torch.zeros(6, 3)
    target[0, 0], target[1, 1] = 1.0, 0.75
    teacher = torch.tensor(
        [[0.2, 0.7, 0.6], [0, 0.75, 0], [0, 0, 0.6], [0.2, 0.2, 0.3], [0.5, 0, 0], [0.2, 0.2, 0.2]]
    )
    hints = {
        0.5: "background can be in conflict, too: count every location where the two differ, "
        "whichever of them is higher",
        1 / 3: "the paper divides by positive locations only, not by all of them",
        2.0: "a location counts once, however many classes differ: take the maximum over classes",
        1.5: "one location differs by just the threshold: a conflict is what lies above it",
        0.0: "no location is counted: compare |target - teacher| with the threshold",
    }
    for threshold, wanted in ((0.5, 1.0), (0.25, 2.0)):
        got = float(ratio(target.clone(), teacher.clone(), threshold))
        if abs(got - wanted) > 1e-6:
            known = [hint for value, hint in hints.items() if abs(value - got) < 1e-6]
            hint = known[0] if known and threshold == 0.5 else f"{wanted:g} it is"
            if abs(got - 1.0) < 1e-6:
                hint = "use the threshold that is given, not 0.5"
            raise Wrong(f"for six made-up locations at {threshold:g} it gives {got:g}; {hint}")
    return "two locations in conflict over two positives make 1"
