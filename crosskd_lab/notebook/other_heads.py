"""Notebook 12: CrossKD in RoI heads and decoders, drawn and read from the records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from ..heads.base import BRANCHES
from ..maps import pixels
from ..methods.decoder_crosskd import DELIVERED
from ..pair import Pair
from ..report.figures import render
from ..report.head_figures import Delivery, HeadView, Layer, Tower, decoder_figure, delivery_figure
from ..report.map_figures import maps_figure
from ..report.results import compare_rows, measured_rows, measured_runs
from ..report.stats import Paired, points
from ..report.sweep_spec import RECORDED
from ..taps import Taps, collect
from .beyond import attention_map, roi_map, roi_scores
from .galleries import Frames, Menus
from .judge import Wrong, verdict
from .students import Student, held_out, train_student
from .the_race import calm

FAMILIES = {"faster": "Faster R-CNN", "deformable": "Deformable DETR"}


def two_detectors(kind: str, scale: str, data: str | Path | None = None) -> Student:
    """A student of "faster" or "deformable" beside the shipped teacher, briefly trained."""
    teacher = f"{kind}_r18_w32"
    with calm():
        student = train_student(f"{kind}_crosskd", scale, data, teacher)
    print(f"{type(student.pair.student).__name__}: teacher {teacher}; student {student.origin}")
    return student


def roi_delivery(pair: Pair) -> Frames:
    """A slider over i: the student's RoI feature, or fully connected layer, into the teacher's."""
    ours = _roi_view(pair.student_head, "Faster R-CNN, student")
    theirs = _roi_view(pair.teacher_head, "Faster R-CNN, teacher")
    depth = pair.teacher_head.depth
    align = pair.teacher_head.defaults.align
    pictures = {}
    for i in range(depth + 1):
        delivery = Delivery(i, i, dict.fromkeys(BRANCHES, f"same RoIs,\nalign:\n{align}"))
        pictures[i] = render(delivery_figure(ours, theirs, delivery), "png")
    return Frames(pictures, "layer index i", pair.teacher_head.defaults.layer)


def roi_frames(student: Student, images: int = 4) -> Frames:
    """A slider over images: scores of the student's RoIs as everyone says them."""
    batch = held_out(student, images)
    taps, size = _taps(student, batch)
    shown, scores = pixels(student.pair, batch["inputs"]), roi_scores(taps)
    pictures = {}
    for image, truth in enumerate(taps.gt_instances):
        maps = {_tex(n): roi_map(taps, s, image, size).cpu().numpy() for n, s in scores.items()}
        boxes = truth.bboxes.cpu().numpy()
        title = "Best class score of the student's RoIs, from 0 (dark) to 1"
        figure = maps_figure(shown[image], boxes, maps, title, top=1.0)
        pictures[image] = render(figure, "png")
    return Frames(pictures, "image")


def decoder_delivery(pair: Pair) -> Menus:
    """Menus of what is delivered and of i: both decoders, and what crosses."""
    layers = pair.teacher_head.depth
    pictures = {
        (what, i): render(decoder_figure(layers, i, what), "png")
        for what in DELIVERED
        for i in range(layers)
    }
    return Menus(pictures, ("delivered", "i"), (DELIVERED[0], 0))


def attention_frames(student: Student, image: int = 0) -> Frames:
    """A drop-down of layers: where the teacher's layer looks, by whose query asks."""
    batch = held_out(student, image + 1)
    taps, size = _taps(student, batch)
    teacher: Any = taps.teacher
    ours: Any = taps.student
    memory, boxes = ours.memory, taps.gt_instances[image].bboxes.cpu().numpy()
    asks = {
        "teacher's query, own memory": (teacher, teacher.memory),
        "teacher's query, student's memory": (teacher, memory),
        "student's query, student's memory": (ours, memory),
    }
    shown, pictures = pixels(student.pair, batch["inputs"])[image], {}
    for layer in range(taps.teacher_head.depth):
        maps = {
            name: _smooth(attention_map(taps, query, read, layer, image, size))
            for name, (query, read) in asks.items()
        }
        title = f"Where the teacher's decoder layer {layer + 1} looks"
        pictures[layer + 1] = render(maps_figure(shown, boxes, maps, title), "png")
    return Frames(pictures, "decoder layer")


def recorded_rows(recorded: str | Path | None = None) -> pd.DataFrame:
    """The recorded runs beyond dense heads: a row a method, AP with intervals and differences."""
    rows = measured_rows(measured_runs("beyond", recorded or RECORDED))
    columns = ["row", "n", "seeds", "mean", "half_width", "to_none", "to_none_half", "to_kd"]
    return rows[[*columns, "to_kd_half"]].set_index("row").round(2)


def tell_recorded(recorded: str | Path | None = None) -> str:
    """What the records say of CrossKD in either family, above none and above KD, in Markdown."""
    runs = measured_runs("beyond", recorded or RECORDED)
    lines = []
    for family, name in FAMILIES.items():
        for other, words in (("none", "no teacher"), ("kd", "plain mimicking")):
            found = compare_rows(runs, f"{family}_crosskd", f"{family}_{other}")
            lines.append(f"- {name}, CrossKD against {words}: {_difference(found)}")
    return "\n".join(lines)


def _difference(found: Paired | None) -> str:
    """A paired comparison in words."""
    if found is None:
        return "no common seed is recorded yet."
    said = "above" if found.difference > 0 else "below"
    if np.isnan(found.half_width):
        return f"**{found.difference:+.1f} AP** over one seed, {said}; one seed has no interval."
    sure = abs(found.difference) > found.half_width
    return (
        f"**{points(found.difference, found.half_width, '+')} AP** over {found.n} seeds, {said}"
        + ("." if sure else ", but the interval holds zero.")
    )


@verdict
def check_best(best: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str:
    """Whether ``best(deltas, teacher_deltas, logits)`` is the RoI head's box distance.

    Args:
        best: Takes deltas ``(R, K, 4)`` of both and the teacher's logits ``(R, K + 1)``, background
            last; gives ``(R,)``.
    """
    ours = torch.zeros(2, 2, 4)
    theirs = torch.tensor([[[1.0] * 4, [2.0, -2, 2, -2]], [[4.0] * 4, [0.0] * 4]])
    cases = {
        "the class that the teacher is surest of": (
            torch.tensor([[0.0, 1, -1], [2, 1, 0]]),
            [2, 4],
        ),
        "a RoI that the teacher takes for background": (
            torch.tensor([[3.0, 1, 9], [1, 2, 9]]),
            [1, 0],
        ),
    }
    for words, (logits, wanted) in cases.items():
        got = torch.as_tensor(best(ours.clone(), theirs.clone(), logits)).flatten().tolist()
        if got != wanted:
            raise Wrong(
                f"for {words} it gives {got}, not {wanted}: mean |difference| of the four "
                "deltas of the best class among the first K"
            )
    return "one class's four deltas a RoI, chosen by the teacher, background never"


@calm()
def _taps(student: Student, batch: dict[str, Any]) -> tuple[Taps, tuple[int, int]]:
    """Taps of a batch; the student is told to train, which it needs to say its losses."""
    torch.manual_seed(0)  # samplers draw
    detector = student.pair.student
    detector.training = True  # the detector's own flag; its normalisation stays as it is
    try:
        with torch.no_grad():
            taps, _ = collect(student.pair, batch["inputs"], batch["data_samples"])
    finally:
        detector.training = False
    return taps, (batch["inputs"].shape[-2], batch["inputs"].shape[-1])


def _roi_view(head: Any, title: str) -> HeadView:
    """The shared layers of a RoI head as two towers, which they are for cross-head delivery."""
    layers = tuple(Layer("fc", head.channels("cls", i), "ReLU") for i in range(1, head.depth + 1))
    deltas = head.head.fc_reg.out_features
    says = {"cls": f"{head.num_classes} classes, background", "reg": f"{deltas} deltas"}
    towers = {
        branch: Tower(head.channels(branch, 0), layers, says[branch], "RoI feature")
        for branch in BRANCHES
    }
    return HeadView(title, towers)


def _smooth(found: Tensor) -> Any:
    """Points spread over 9 by 9 pixels, to be seen."""
    return F.avg_pool2d(found[None], 9, 1, 4)[0].sqrt().cpu().numpy()


def _tex(name: str) -> str:
    symbol, _, rest = name.partition(",")
    shown = symbol.replace("p_hat", "\\hat{p}")
    return f"${shown}$" + (f",{rest}" if rest else "")
