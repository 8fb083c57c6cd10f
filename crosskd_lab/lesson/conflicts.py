"""Notebook 04: a pair's target conflicts, image by image and over a set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from torch import Tensor

from crosskd_lab.analysis.conflict import conflict_view
from crosskd_lab.analysis.tally import Tally
from crosskd_lab.configs import RANDOM
from crosskd_lab.figures import DPI, WIDTH, Picture, conflict_figure, render, target_maps_figure
from crosskd_lab.lesson.judge import Wrong, verdict
from crosskd_lab.lesson.students import lesson_scenes
from crosskd_lab.survey import Survey, open_survey, survey_conflict
from crosskd_lab.widgets import Frames

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


def threshold_frames(tally: Tally, start: float = 0.5) -> Frames:
    """A control over the threshold: conflicts a positive location, by level, size and class."""
    frame = tally.frame()
    frames = {}
    for threshold in THRESHOLDS:
        figure = Picture(figsize=(WIDTH, 3.9), dpi=DPI, layout="constrained")
        with sns.axes_style("whitegrid"):
            axes = figure.subplots(1, 3)
        at = frame[(frame["threshold"] - threshold).abs() < 1e-9].dropna(subset=["ratio"])
        for ax, part in zip(axes, ("level", "size", "class"), strict=True):
            rows = at[at["by"] == part]
            ax.barh(rows["group"], rows["ratio"], color="#0072B2")
            ax.invert_yaxis()
            ax.grid(axis="y", visible=False)
            ax.set_title(f"by {part}", loc="left", fontsize=12)
            ax.set_xlabel("conflicts a positive location", fontsize=11)
        whole = at[at["by"] == "all"]["ratio"].item()
        title = f"discrepancy > {threshold}: {whole:.3f} conflicts a positive location"
        figure.suptitle(title, x=0.01, ha="left", fontsize=13)
        frames[threshold] = render(figure, "png")
    return Frames(frames, "threshold", start)


def compare(tallies: Mapping[str, Tally]) -> Figure:
    """Fig. 3: one curve a teacher (or a target), overall."""
    frames = [tally.frame().assign(teacher=name) for name, tally in tallies.items()]
    return conflict_figure(pd.concat(frames), ["all"], title="Conflict ratio, as in Fig. 3")


def count(survey: Survey, boxes: str = "teacher") -> Tally:
    """Conflict counted over the whole set, see :func:`crosskd_lab.survey.survey_conflict`."""
    return survey_conflict(survey, boxes)


@verdict
def check_ratio(ratio: Callable[[Tensor, Tensor, float], float]) -> str:
    """Whether ``ratio(target, teacher, threshold)`` is the conflict ratio of section 3.1.

    Args:
        ratio: Takes two score tensors ``(R, K)`` and a threshold.
    """
    target = torch.tensor([[1.0, 0, 0], [0, 0.8, 0], [0, 0, 0], [0, 0, 0]])
    teacher = torch.tensor([[0.2, 0.7, 0], [0, 0.7, 0], [0, 0, 0.6], [0.3, 0.3, 0.3]])
    got = float(ratio(target.clone(), teacher.clone(), 0.5))
    hints = {
        0.5: "background can be in conflict, too: count all locations above the threshold",
        0.75: "the paper divides by positive locations only, not by all of them",
        1.5: "a location counts once, however many classes differ: take the maximum over classes",
    }
    if abs(got - 1.0) > 1e-6:
        raise Wrong(f"for four made-up locations it gives {got:g}; {hints.get(got, 'reread 3.1')}")
    return "two locations in conflict over two positives make 1"
