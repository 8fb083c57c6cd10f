"""Notebook 08: what changes with the layer i whose feature is delivered (Table 1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ..files import PROJECT
from ..gradients import reach
from ..heads.base import Predictions
from ..maps import View, pixels, score_map
from ..methods.crosskd import CrossKD
from ..report.figures import render
from ..report.head_figures import layer_figure
from ..report.results import results
from ..report.stats import points
from ..report.sweep_spec import RECORDED
from ..runs.launch import launch
from ..runs.processes import Run
from ..taps import Taps, collect
from .galleries import Frames
from .judge import Wrong, verdict
from .offer import Command
from .students import Held, effort, lesson_scenes

PLACE = PROJECT / "runs" / "which_layer"
PARTS = 3  # of a run: the first warms up, each ends with a validation


def layers(held: Held) -> list[int]:
    """Every i that the teacher's head has: 0 ... its number of hidden convs."""
    return list(range(held.pair.teacher_head.depth + 1))


def look(held: Held, i: int, image: int = 0) -> tuple[View, dict[str, Tensor], pd.DataFrame]:
    """One image with its maps, CrossKD's losses at layer i, and the layers that learn from them.

    Args:
        held: A student beside its teacher, and images.
        i: The layer.
        image: Which of the images with boxes.

    Returns:
        The view, with the maps of best class scores of the teacher, of the cross-head prediction
        and of the student; the losses by name; the reach, see
        :func:`crosskd_lab.gradients.reach`.
    """
    batch = held.singles()[image]
    taps, _ = collect(held.pair, **batch)
    losses = CrossKD(i=i).losses(taps)
    reached = reach(held.pair, torch.stack([*losses.values()]).sum())
    said = {
        "teacher's prediction": taps.teacher.predictions,
        f"cross-head prediction, i = {i}": taps.cross(i),
        "student's own prediction": taps.student.predictions,
    }
    maps = {name: _map(taps, one, batch["inputs"], held) for name, one in said.items()}
    boxes = taps.gt_instances[0].bboxes.cpu().numpy()
    return View(pixels(held.pair, batch["inputs"])[0], boxes, maps), losses, reached


def layer_frames(held: Held, beside: pd.DataFrame, image: int = 0) -> Frames:
    """A slider over i: maps, loss, reach, and both tables' AP in the title.

    Args:
        held: A student beside its teacher, and images.
        beside: As :func:`both_tables` gives it.
        image: Which of the images with boxes.
    """
    words = beside.set_index("i")["words"]
    pictures = {}
    for i in layers(held):
        view, losses, reached = look(held, i, image)
        told = ", ".join(
            f"{name.removeprefix('loss_')} {v.item():.2f}" for name, v in losses.items()
        )
        title = f"i = {i}:  {told}\n{words.get(i, 'no row of this i in either table')}"
        figure = layer_figure(view.image, view.boxes, view.maps, reached, title=title)
        pictures[i] = render(figure, "png")
    return Frames(pictures, "layer index i")


def reaches(held: Held, image: int = 0) -> pd.DataFrame:
    """Gradient norms of CrossKD's loss: a row a part of the student, a column an i."""
    columns = {f"i = {i}": look(held, i, image)[2].set_index("part")["norm"] for i in layers(held)}
    return pd.DataFrame(columns)


def both_tables(recorded: str | Path = RECORDED) -> pd.DataFrame:
    """Table 1's CrossKD rows, the paper's beside this lab's.

    Returns:
        ``i``; AP in the ``paper`` with its gain ``paper_gain`` over the student alone; ``recorded``
        mean AP with ``half_width`` of its 95 % interval, ``gain`` over the same baseline here,
        ``seeds`` and ``stale``; ``words`` that say both. NaN where nothing is recorded.
    """
    frame = results(1, sources=("paper", "recorded"), recorded_runs=recorded)
    paper = frame[(frame["source"] == "paper") & (frame["method"] == "CrossKD")]
    paper = paper.assign(i=paper["variant"].astype(int))[["i", "mean", "difference"]]
    ours = frame[frame["variant"].astype(str).str.fullmatch(r"crosskd_\d")]
    ours = ours[ours["source"] == "recorded"]
    ours = ours.assign(i=ours["variant"].str[-1].astype(int))
    ours = ours[["i", "mean", "half_width", "difference", "n", "stale"]]
    paper.columns = ["i", "paper", "paper_gain"]
    ours.columns = ["i", "recorded", "half_width", "gain", "seeds", "stale"]
    table = paper.merge(ours, on="i", how="outer")
    return table.assign(words=[_words(row) for row in table.to_dict("records")])


def runs_of(scale: str, every: list[int], place: str | Path | None = None) -> dict[str, Command]:
    """A short run of every i, to be started in a process of its own.

    Args:
        scale: "smoke", "cpu" or "gpu": how many steps.
        every: The layers i.
        place: Where the runs go; ``runs/which_layer`` by default.
    """
    wanted, data, place = effort(scale), lesson_scenes(scale), place or PLACE
    part = math.ceil(wanted.steps / PARTS)
    schedule = {
        "schedule.steps": wanted.steps,
        "schedule.batch": wanted.batch,
        "schedule.warmup": part,
        "schedule.validate_every": part,
    }
    commands = {}
    for i in every:
        settings: dict[str, Any] = {"methods.0.i": i, **schedule}
        out = Path(place) / f"{scale}-i{i}"
        said = " ".join(f"--set {key}={value}" for key, value in settings.items())
        words = (
            f"crosskd-lab launch pocket/crosskd {said} --data {_short(data)} --out {_short(out)}"
        )
        start = partial(_start_or_open, settings, data, out)
        commands[f"i = {i}"] = Command(words, start)
    return commands


def _start_or_open(settings: dict[str, Any], data: Path, out: Path) -> Run:
    """The run of this folder; one that was stopped goes on."""
    if not (out / "record.json").exists():
        run = launch("pocket/crosskd", settings=settings, data=data, out=out)
        assert run is not None  # only a dry run gives none
        return run
    run = Run.open(out)
    return run.resume() if run.status in ("stopped", "interrupted") else run


@verdict
def check_layers(learners: Callable[[int, int], list[int]]) -> str:
    """Whether ``learners(i, n)`` names the student's hidden convs that CrossKD at i teaches.

    Args:
        learners: Takes the layer and the number n of hidden convs, counted from 1.
    """
    for n in (4, 2):
        for i in range(n + 1):
            got, right = sorted(learners(i, n)), list(range(1, i + 1))
            if got != right:
                raise Wrong(
                    f"for i = {i} of {n} it names {got}; f_i has passed the convs {right} of the "
                    "student and no other, the rest of the way is the teacher's"
                )
    return "convs 1 to i learn from the teacher, the others from the annotations alone"


@torch.no_grad()
def _map(taps: Taps, said: Predictions, inputs: Tensor, held: Held) -> Any:
    head = held.pair.student_head if said is taps.student.predictions else held.pair.teacher_head
    scores = head.flat_cls(said).sigmoid()[0]
    size = (inputs.shape[-2], inputs.shape[-1])
    return score_map(head, scores, taps.teacher.neck, size).cpu().numpy()


def _words(row: dict[str, Any]) -> str:
    parts = []
    if row["paper"] == row["paper"]:
        parts.append(f"paper, on COCO: AP {row['paper']:.1f} ({row['paper_gain']:+.1f})")
    if row["recorded"] == row["recorded"]:
        stale = ", stale" if row["stale"] else ""
        mean = points(row["recorded"], row["half_width"])
        parts.append(
            f"recorded, on scenes: AP {mean} ({row['gain']:+.1f}), {row['seeds']:.0f} seeds{stale}"
        )
    return ";  ".join(parts) or "neither printed nor recorded"


def _short(path: Path) -> str:
    return str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)
