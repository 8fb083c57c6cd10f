"""Notebook 14: what the authors' code does and the paper's text does not say, switch by switch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from ..gradients import cosine, energy_map, gradient
from ..heads.base import Levels
from ..maps import centres, on_image, pixels, score_map, scores_of
from ..methods.crosskd import CrossKD
from ..report.claims import Claim, Comparison, compare_claims
from ..report.evidence_figures import differences_figure
from ..report.figures import DPI, WIDTH, Picture, render
from ..report.map_figures import bare, draw_boxes, draw_map
from ..report.sweep_spec import RECORDED
from ..taps import collect
from .galleries import Frames
from .judge import Wrong, verdict
from .students import Student

LAYER = 3


@dataclass(frozen=True)
class Switch:
    """One difference between the authors' code and the text.

    Attributes:
        row: Its row in the sweep "fine_print".
        says: What is done instead of what the code does.
        options: Arguments of :class:`crosskd_lab.methods.CrossKD`.
        tap: Where f_i is read.
    """

    row: str
    says: str
    options: Mapping[str, Any] = field(default_factory=dict)
    tap: str = "post_relu"


AS_RUN = Switch("as_run", "as the authors' code runs")
SWITCHES = {
    "tap before the ReLU": Switch("pre_relu", "f_i is read before the activation", {}, "pre_relu"),
    "no alignment": Switch("no_align", "f_i^s is delivered as it is", {"align": "none"}),
    "S(r) = 1": Switch("everywhere", "all locations weigh alike", {"region": "everywhere"}),
    "box term over positives": Switch(
        "by_positives",
        "|S| of the box term is the number of positives, as that of the class term is",
        {"normaliser": "positives"},
    ),
    "as the text says, box term": Switch(
        "as_written",
        "before the ReLU, not aligned, S(r) = 1 in the box term; class term as the code runs",
        {"align": "none", "region": "everywhere"},
        "pre_relu",
    ),
}


@dataclass(frozen=True)
class Outcome:
    """What CrossKD gives on one batch with a switch set.

    Attributes:
        losses: By name, weights included.
        pull: Gradient of their sum at the neck, per level ``(N, C, H, W)``.
        score: Cross-head scores of one image as a map ``(H, W)``.
        weight: S(r) of the regression term on that image, ``(H, W)``.
        energy: Where the gradient pulls on that image, ``(H, W)``.
    """

    losses: dict[str, float]
    pull: Levels
    score: NDArray
    weight: NDArray
    energy: NDArray


def outcome(student: Student, batch: Mapping[str, Any], switch: Switch, image: int = 0) -> Outcome:
    """CrossKD (i = 3) on a batch, with a switch set; the student stays as it is."""
    method = CrossKD(i=LAYER, **switch.options)
    inputs = batch["inputs"]
    size = (inputs.shape[-2], inputs.shape[-1])
    taps, _ = collect(student.pair, inputs, batch["data_samples"], switch.tap)
    losses = method.losses(taps)
    pull = gradient(torch.stack([*losses.values()]).sum(), taps.student.neck)
    with torch.no_grad():
        crossed = taps.cross(LAYER, switch.options.get("align"), ("cls",))
        levels = taps.teacher.predictions.cls
        score = score_map(
            taps.teacher_head, scores_of(taps.teacher_head, crossed)[image], levels, size
        )
        regions = [level[image] for level in method.region_map(taps)]
        weight = on_image(regions, centres(taps.teacher_head, levels), size).amax(0)
    return Outcome(
        losses={name: value.item() for name, value in losses.items()},
        pull=tuple(level.detach() for level in pull),
        score=score.cpu().numpy(),
        weight=weight.cpu().numpy(),
        energy=energy_map(taps, pull, image, size).cpu().numpy(),
    )


def outcomes(student: Student, batch: Mapping[str, Any]) -> dict[str, Outcome]:
    """:func:`outcome` as the code runs and for every switch, by name."""
    found = {"as run": outcome(student, batch, AS_RUN)}
    return found | {name: outcome(student, batch, switch) for name, switch in SWITCHES.items()}


def switch_frames(
    student: Student, batch: Mapping[str, Any], found: Mapping[str, Outcome], image: int = 0
) -> Frames:
    """A drop-down over the switches: cross-head scores, S(r) and gradient, as run and switched."""
    photograph = pixels(student.pair, batch["inputs"])[image]
    boxes = batch["data_samples"][image].gt_instances.bboxes.cpu().numpy()
    pictures = {}
    for name, switch in SWITCHES.items():
        figure = _compare(photograph, boxes, found["as run"], found[name], f"{name}: {switch.says}")
        pictures[name] = render(figure, "png")
    return Frames(pictures, "switch")


def numbers(found: Mapping[str, Outcome]) -> pd.DataFrame:
    """A row a switch: its losses, how hard it pulls at the neck, and in which direction.

    ``pull`` is the norm of the gradient as a multiple of that as run, ``cosine`` the mean over
    images of the cosine between the two: 1 is the same direction.
    """
    base = found["as run"]
    rows = {}
    for name, one in found.items():
        rows[name] = {
            **{key.removeprefix("loss_crosskd_"): value for key, value in one.losses.items()},
            "pull": _norm(one.pull) / _norm(base.pull),
            "cosine": cosine(one.pull, base.pull).mean().item(),
        }
    return pd.DataFrame(rows).T.round(3)


def recorded_figure(recorded: str | Path = RECORDED) -> Figure:
    """AP with each switch set minus AP as run, from the records; what is missing says so."""
    pairs = tuple(Comparison("fine_print", switch.row, "as_run") for switch in SWITCHES.values())
    claim = {"fine print": Claim("", "", pairs)}
    compared = compare_claims(claim, recorded).assign(comparison=list(SWITCHES))
    return differences_figure(
        compared,
        title="AP with the switch set, minus AP as the code runs",
        beyond="right of zero: better than the authors' code",
        verdicts=False,
    )


def overwritten(activation: nn.Module) -> pd.DataFrame:
    """What is left of a feature that was kept before an activation, once that has run.

    Args:
        activation: Called on the kept tensor itself.

    Returns:
        The smallest value and the share of negative ones, before and after.
    """
    chance = torch.Generator().manual_seed(0)
    feature = torch.randn(1, 8, 6, 6, generator=chance)
    kept = feature  # a name for the same memory, not a copy
    rows = {"when it was kept": _low(kept)}
    activation(feature)
    rows["after the activation"] = _low(kept)
    return pd.DataFrame(rows, index=["smallest value", "share below zero"]).T.round(3)


@verdict
def check_keep(keep: Callable[[nn.Module, nn.Module, Tensor], tuple[Tensor, Tensor]]) -> str:
    """Whether ``keep(conv, activation, x)`` returns the true pre-activation and the output.

    Args:
        keep: Gets a conv, an in-place activation and a map; returns (before, after).
    """
    torch.manual_seed(0)
    conv, x = nn.Conv2d(2, 4, 3, padding=1), torch.randn(1, 2, 5, 5)
    right = conv(x).detach()
    before, after = keep(conv, nn.ReLU(inplace=True), x.clone())
    if not torch.allclose(after, right.relu()):
        raise Wrong("the second is not the activated map of the conv's output")
    if before.min() >= 0:
        raise Wrong("the first has no value below zero: the activation has written over it")
    if not torch.allclose(before, right):
        raise Wrong("the first is not the conv's output")
    if not before.requires_grad:
        raise Wrong("no gradient can pass the first one any more: clone it, but do not detach it")
    return "the pre-activation survives, and gradients still pass"


def _compare(photograph: NDArray, boxes: NDArray, run: Outcome, one: Outcome, title: str) -> Figure:
    """Two rows of maps, as run and switched, on common scales; below the image what differs."""
    figure = Picture(figsize=(WIDTH, 6.6), dpi=DPI, layout="constrained")
    axes = figure.subplots(2, 4)
    axes[0, 0].imshow(photograph)
    bare(axes[0, 0], "image and boxes")
    top = max(run.score.max(), one.score.max())
    draw_map(axes[1, 0], np.abs(one.score - run.score), "change of the scores", top)
    columns = {
        "$\\hat{p}^s$, scores": "score",
        "S(r)": "weight",
        "$\\sqrt{pull}$ at the neck": "energy",
    }
    for column, (label, name) in enumerate(columns.items(), 1):
        values = [getattr(run, name), getattr(one, name)]
        values = [np.sqrt(v / v.max()) if name == "energy" and v.max() else v for v in values]
        for row, (which, value) in enumerate(zip(("as run", "switched"), values, strict=True)):
            highest = top if name == "score" else 1.0
            draw_map(axes[row, column], value, f"{label}, {which}", highest)
    for ax in axes.flat:
        draw_boxes(ax, boxes)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    return figure


def _norm(levels: Levels) -> float:
    return float(sum(level.double().square().sum() for level in levels)) ** 0.5


def _low(feature: Tensor) -> list[float]:
    return [feature.min().item(), (feature < 0).float().mean().item()]
