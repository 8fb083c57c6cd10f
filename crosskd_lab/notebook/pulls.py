"""Notebook 05: where each loss pulls at a student's features, and how focused it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ..files import PROJECT
from ..gradients import gradient_view, measure_gradients, term_views
from ..methods.base import Method
from ..methods.crosskd import CrossKD, PredictionMimicking
from ..methods.pkd import PKD
from ..pair import Pair
from ..report.figures import render
from ..report.map_figures import energy_figure
from ..runs.race import TEACHER
from .galleries import Frames, Menus
from .judge import Wrong, verdict
from .students import checkpoint_of, held_out, train_student

IMAGES = {"smoke": 8, "cpu": 64, "gpu": 256}
PLACES = [("neck", 0), ("cls", 1), ("cls", 3), ("reg", 1), ("reg", 3)]
Place = tuple[str, int]


@dataclass(frozen=True)
class Held:
    """A student beside its teacher, and the held-out images that its losses are taken on.

    Attributes:
        pair: Both in evaluation mode.
        batches: ``inputs`` and ``data_samples``, eight images each.
        origin: Where the student comes from, in words.
    """

    pair: Pair
    batches: list[dict[str, Any]]
    origin: str

    def singles(self) -> list[dict[str, Any]]:
        """The images one by one, those without boxes left out."""
        parts = [part for batch in self.batches for part in _split(batch, 1)]
        return [part for part in parts if len(part["data_samples"][0].gt_instances)]


def hold(
    scale: str, student: str = "none", data: str | Path | None = None, teacher: str = TEACHER
) -> Held:
    """A student from your race, or trained briefly now, and held-out images.

    Args:
        scale: "smoke", "cpu" or "gpu": how long, and how many images.
        student: What it learnt by: "none", "kd", "crosskd" ...
        data: COCO-format folder; the lesson's scenes by default.
        teacher: A shipped teacher, a run's folder, a checkpoint of the pocket GFL, or "random".
    """
    race = None if scale == "smoke" or teacher != TEACHER else PROJECT / "runs" / "race"
    made = train_student(student, scale, data, checkpoint_of(teacher), race)
    batch = held_out(made, IMAGES[scale])
    return Held(made.pair, _split(batch, 8), made.origin)


def sources() -> dict[str, Method]:
    """The distillations that are compared, with the settings that the paper trains with."""
    return {"CrossKD": CrossKD(), "KD": PredictionMimicking(), "PKD": PKD()}


def source_frames(held: Held, images: int, place: Place = ("neck", 0)) -> Frames:
    """A slider over images: Fig. 5, the energy of every source's whole loss at one feature."""
    pictures = {}
    for index, batch in enumerate(islice(held.singles(), images)):
        view = gradient_view(held.pair, batch, sources(), *place)
        title = f"Where each loss pulls at the student: {name_of(place)}"
        figure = energy_figure(view.image, view.maps, view.boxes, title=title)
        pictures[index] = render(figure, "png")
    return Frames(pictures, "image")


def term_menus(held: Held, images: int, places: Sequence[Place] = PLACES) -> Menus:
    """Menus of image, feature and term: the term's energy beside the whole detection loss's."""
    pictures = {}
    for index, batch in enumerate(islice(held.singles(), images)):
        views = term_views(held.pair, batch, sources(), places)
        for place, view in views.items():
            for name in [name for name in view.maps if ":" in name]:
                maps = {"the whole detection loss": view.maps["detection"], name: view.maps[name]}
                reaches = "" if view.maps[name].any() else "; this term does not reach it"
                title = f"At {name_of(place)}{reaches}"
                figure = energy_figure(view.image, maps, view.boxes, title=title)
                pictures[index, name_of(place), name] = render(figure, "png")
    return Menus(pictures, ("image", "feature", "term"), next(iter(pictures)))


def measure(held: Held, places: Sequence[Place] = PLACES) -> pd.DataFrame:
    """Concentration of every source's gradient: a row an image, feature and source."""
    return measure_gradients(held.pair, held.batches, sources(), places)


def name_of(place: Place) -> str:
    """A feature in words."""
    where, i = place
    return "the neck" if where == "neck" else f"{where} tower, i = {i}"


@verdict
def check_gini(gini: Callable[[Tensor], float]) -> str:
    """Whether ``gini(energy)`` is the Gini coefficient of non-negative values ``(n,)``.

    Args:
        gini: Takes a tensor in any order.
    """
    trials = {
        "four equal values": (torch.ones(4), 0.0),
        "one value of four that holds everything": (torch.tensor([0.0, 0, 5, 0]), 0.75),
        "1, 3, 2, 4": (torch.tensor([1.0, 3, 2, 4]), 0.25),
    }
    for words, (energy, wanted) in trials.items():
        got = float(gini(energy.clone()))
        if abs(got - wanted) > 1e-4:
            hint = (
                "sort first" if words.startswith("1") else "take |a - b| over all pairs of values"
            )
            raise Wrong(f"for {words} it gives {got:.3g}, not {wanted}; {hint}")
    if abs(float(gini(10 * trials["1, 3, 2, 4"][0])) - 0.25) > 1e-4:
        raise Wrong("ten times the energy is not more focused: divide by the mean")
    return "0 for equal shares, (n - 1) / n where one location holds everything"


def _split(batch: dict[str, Any], size: int) -> list[dict[str, Any]]:
    samples = batch["data_samples"]
    return [
        {"inputs": batch["inputs"][k : k + size], "data_samples": samples[k : k + size]}
        for k in range(0, len(samples), size)
    ]
