"""Notebook 03: any teacher beside any student, what they share and what came of teaching."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from ..configs import RANDOM, read_config
from ..engine.train import quiet
from ..errors import LabError
from ..files import PROJECT
from ..heads import ADAPTERS
from ..maps import pixels
from ..methods.crosskd import CrossKD
from ..pair import Pair, build_detector
from ..report.figures import render
from ..report.head_figures import delivery_figure
from ..report.map_figures import Marks, positives_figure
from ..runs.dataset_analysis import Survey, open_survey
from ..runs.race import RaceResult, run_race
from ..runs.recipes import detectors, teachers
from .agreement import Agreement, find_agreement
from .galleries import Frames, Menus
from .students import effort, lesson_scenes
from .the_race import calm, tell
from .views import delivery_of, head_view

METHODS = ("none", "kd", "crosskd")
STEPS = {"smoke": 3, "cpu": 100, "gpu": 1500}


@dataclass(frozen=True)
class Bench:
    """Every pocket detector with a dense head, untrained, and one image to hold them against.

    Attributes:
        built: Detectors by name.
        batch: ``inputs`` and ``data_samples`` of the image, as detectors get them.
        survey: The set that the image is of.
    """

    built: dict[str, Any]
    batch: dict[str, Any]
    survey: Survey

    @property
    def students(self) -> list[str]:
        """Names of the small ones."""
        return [name for name in self.built if name.endswith("w16")]

    @property
    def teachers(self) -> list[str]:
        """Names of the large ones."""
        return [name for name in self.built if name.endswith("w32")]

    def pair(self, student: str, teacher: str) -> Pair:
        """Two of them side by side.

        Raises:
            LabError: for an unknown name.
        """
        for name in (student, teacher):
            if name not in self.built:
                raise LabError(f"there is no {name!r}: choose from {', '.join(self.built)}")
        return Pair(self.built[student], self.built[teacher])


@quiet()
def open_bench(scale: str, data: str | Path | None = None, image: int = 0) -> Bench:
    """Build all dense pocket detectors for the classes of a set, and take one image of it.

    Args:
        scale: "smoke", "cpu" or "gpu".
        data: COCO-format folder; the lesson's scenes by default. Any classes and sizes will do.
        image: Which of its held-out images.

    Raises:
        LabError: for an unknown scale, or a set that cannot be used.
    """
    models = {name: read_config(f"pocket/{name}").model for name in detectors()}
    names = [n for n, m in models.items() if m.get("bbox_head", {}).get("type") in ADAPTERS]
    first = f"pocket/{names[0]}"
    survey = open_survey(RANDOM, first, data or lesson_scenes(scale), teacher_config=first)
    count = len(survey.classes)
    torch.manual_seed(0)
    built = {name: _build(models[name], num_classes=count) for name in names}
    (batch,) = survey.batches(1, image, image + 1)
    return Bench(built, batch, survey)


def pair_menus(bench: Bench, student: str, teacher: str) -> Menus:
    """Two menus over all pairs: their heads, and f_i^s on its way at the teacher's recipe's i."""

    def draw(pair: Pair) -> Figure:
        return delivery_picture(pair, CrossKD())

    return _menus(bench, draw, student, teacher)


def layer_frames(pair: Pair) -> Frames:
    """A slider over i: which feature leaves the student's head, and where it enters."""
    depth, start = pair.teacher_head.depth, pair.teacher_head.defaults.layer
    pictures = [render(delivery_picture(pair, CrossKD(i=i)), "png") for i in range(depth + 1)]
    return Frames(dict(enumerate(pictures)), "layer index i", start)


def delivery_picture(pair: Pair, method: CrossKD) -> Figure:
    """Both heads as they are built, and where the method delivers the student's feature.

    Raises:
        LabError: where the method cannot serve the pair.
    """
    method.attach(pair.student_head, pair.teacher_head)
    student = head_view(pair.student_head, f"{type(pair.student).__name__}, student")
    teacher = head_view(pair.teacher_head, f"{type(pair.teacher).__name__}, teacher")
    return delivery_figure(student, teacher, delivery_of(pair, method))


def positive_menus(bench: Bench, student: str, teacher: str) -> Menus:
    """Two menus over all pairs: where both assigners put their positives on the bench's image."""

    def draw(pair: Pair) -> Figure:
        found = find_agreement(pair, **bench.batch)
        sample = bench.batch["data_samples"][0]
        boxes = sample.gt_instances.bboxes.cpu().numpy()
        image = pixels(pair, bench.batch["inputs"])[0]
        names = (type(pair.student).__name__, type(pair.teacher).__name__)
        return positives_figure(image, boxes, marks_of(found), *names)

    return _menus(bench, draw, student, teacher)


def marks_of(found: Agreement, image: int = 0) -> list[Marks]:
    """The positive locations of one image, ready to be drawn, a :class:`Marks` a level."""
    levels = zip(
        found.strides,
        *(found.student, found.teacher),
        *(found.where, found.where_teacher),
        strict=True,
    )
    return [
        Marks(
            stride,
            where[ours[image] & theirs[image]].cpu().numpy(),
            where[ours[image] & ~theirs[image]].cpu().numpy(),
            where_teacher[theirs[image] & ~ours[image]].cpu().numpy(),
        )
        for stride, ours, theirs, where, where_teacher in levels
    ]


@quiet()
def agreement_table(bench: Bench, student: str, teacher: str, images: int = 16) -> pd.DataFrame:
    """Positive locations of both assigners over the first held-out images, by level."""
    pair = bench.pair(student, teacher)
    batches = bench.survey.batches(8, last=images)
    tables = [find_agreement(pair, **b).table().drop(columns="agreement") for b in batches]
    total = sum(tables[1:], tables[0])
    total["agreement"] = (total["both"] / total.sum(axis=1)).round(2)
    return total.astype({name: int for name in total if name != "agreement"})


@quiet()
def narrow_pair(bench: Bench, student: str, teacher: str, channels: int, convs: int) -> Pair:
    """A pair whose student has a head of other width and depth than the teacher's."""
    count = bench.built[student].bbox_head.num_classes
    bench.pair(student, teacher)
    head = dict(num_classes=count, in_channels=channels, feat_channels=channels)
    model = read_config(f"pocket/{student}").model
    return Pair(_build(model, **head, stacked_convs=convs), bench.built[teacher])


def race_pair(scale: str, student: str, teacher: str, out: str | Path | None = None) -> RaceResult:
    """Train the student without and with the teacher, or read what came of it before.

    A teacher that is not shipped is taken untrained, and that is said.

    Args:
        scale: "smoke", "cpu" or "gpu": how long.
        student: A pocket detector.
        teacher: Another; trained if it is shipped.
        out: The race's folder, by default one below ``runs/pairs`` for each pair and scale.
    """
    batch = effort(scale).batch
    trained = teacher in teachers()
    folder = Path(out) if out else PROJECT / "runs" / "pairs" / f"{student}-from-{teacher}-{scale}"
    kind = "trained" if trained else "UNTRAINED (none is shipped: what it teaches is noise)"
    print(f"{student} from {teacher}, {kind}: {STEPS[scale]} steps a student")
    with calm():
        return run_race(
            folder,
            steps=STEPS[scale],
            methods=METHODS,
            data=lesson_scenes(scale),
            teacher=teacher if trained else f"{RANDOM}:{teacher}",
            student=student,
            settings={"schedule.batch": batch},
            listener=tell,
        )


@quiet()
def _menus(bench: Bench, draw: Callable[[Pair], Figure], student: str, teacher: str) -> Menus:
    bench.pair(student, teacher)
    pictures = {
        names: render(draw(bench.pair(*names)), "png")
        for names in product(bench.students, bench.teachers)
    }
    return Menus(pictures, ("student", "teacher"), (student, teacher))


def _build(model: Any, **head: Any) -> Any:
    """A detector in evaluation mode, untrained, with some settings of its head replaced."""
    model.bbox_head.update(head)
    if "in_channels" in head:
        model.neck.out_channels = head["in_channels"]
    return build_detector(model).eval()
