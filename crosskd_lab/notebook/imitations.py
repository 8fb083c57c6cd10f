"""Notebook 11: two methods of Table 5 side by side, on the same image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import pandas as pd
import torch
from nbconvert.filters import markdown2html
from torch import Tensor

from ..errors import LabError
from ..gradients import method_views, weight_shares
from ..methods import METHODS
from ..methods.base import Method
from ..methods.regions import scale_masks
from ..report.figures import render
from ..report.head_figures import method_figure
from ..report.sweep_spec import RECORDED
from .cards import COSTS, card, pocket_method, read_costs
from .galleries import Beside
from .judge import Wrong, verdict
from .students import Held

OPERATIONS = "method_operations.csv"
"""File in ``data/recorded`` that ``benchmarks/operations.py --out`` writes."""


def lineup(held: Held, names: Sequence[str] = ()) -> dict[str, Method]:
    """Methods of Table 5 with the settings of their pocket configs, attached to the pair.

    Args:
        held: The student and its teacher.
        names: Of :data:`crosskd_lab.methods.METHODS`; all of them by default.
    """
    return {name: pocket_method(name, held.pair) for name in names or METHODS}


def two_methods(
    held: Held,
    one: str,
    other: str,
    images: int = 3,
    names: Sequence[str] = (),
    recorded: str | Path | None = None,
) -> Beside:
    """Two menus of methods: region, gradient and cost of each, and its card, on the same image.

    Args:
        held: The student, its teacher and held-out images.
        one: The method shown on the left first.
        other: That on the right.
        images: How many images to choose from.
        names: Methods in the menus; all by default.
        recorded: Folder of recorded runs and costs; the lab's own by default.
    """
    methods, costs = lineup(held, names), read_costs(recorded)
    pictures = {}
    for index, batch in enumerate(islice(held.singles(), images)):
        for name, view in method_views(held.pair, batch, methods).items():
            figure = method_figure(name, view.image, view.boxes, view.maps, costs)
            pictures[index, name] = render(figure, "png")
    notes = {name: markdown2html(card(name, recorded)) for name in methods}
    return Beside(pictures, notes, ("image", "method"), (one, other))


def shares_table(held: Held, names: Sequence[str] = ()) -> pd.DataFrame:
    """Means over the held-out images, a row a method, in per cent (the cosine as it is)."""
    methods = lineup(held, names)
    frame = pd.concat([weight_shares(held.pair, batch, methods) for batch in held.batches])
    table = frame.groupby("method", sort=False).mean(numeric_only=True).drop(columns="image")
    for column in ("chosen", "weight", "pull", "area"):
        table[column] = (100 * table[column]).round(1)
    names_of = {
        "chosen": "locations with weight, %",
        "weight": "weight inside boxes, %",
        "pull": "gradient inside boxes, %",
        "area": "locations inside boxes, %",
        "cosine": "cosine with detection",
    }
    return table.round(3).rename(columns=names_of)


def cost_shares(recorded: str | Path | None = None) -> pd.DataFrame:
    """What every method adds to a step on a CPU, in parts of the student's own step, dearest first.

    Args:
        recorded: Folder that holds the measured and the counted costs; the lab's own by default.

    Returns:
        By method: ``own ms`` and ``own MB`` (kept for the backward) beyond the teacher's forward,
        as measured; then in per cent of the student's step ``time``, and as counted
        ``multiply-adds``, ``bytes touched`` and ``operations``.

    Raises:
        LabError: where costs were not measured, or not counted.
    """
    folder = Path(recorded or RECORDED)
    for name, script in ((COSTS, "methods"), (OPERATIONS, "operations")):
        if not (folder / name).is_file():
            raise LabError(f"{folder / name} is not there: python benchmarks/{script}.py --out it")
    measured = pd.read_csv(folder / COSTS).query("device == 'cpu'").set_index("method")
    counted = pd.read_csv(folder / OPERATIONS).set_index("method")
    own = measured[["own_ms", "own_mb"]].rename(columns=lambda c: c.replace("own_", "own "))
    alone = counted.loc["none"]
    parts = {
        "time, %": measured["own_ms"] / measured.loc["none", "ms"],
        "multiply-adds, %": counted["own_mmac"] / alone["mmac"],
        "bytes touched, %": counted["own_moved_mb"] / alone["moved_mb"],
        "operations, %": counted["own_calls"] / alone["calls"],
    }
    table = own.rename(columns={"own mb": "own MB"}).join((100 * pd.DataFrame(parts)).round(1))
    return table.loc[[name for name in table.index if name in METHODS]].sort_values(
        "own ms", ascending=False
    )


@verdict
def check_region(region: Callable[[Tensor, int, int], Tensor]) -> str:
    """Whether ``region(boxes, height, width)`` is FGD's foreground mask ``(H, W)``.

    Args:
        region: Takes boxes ``(G, 4)`` whose corners are whole cells, both ends included.
    """
    trials = {
        "one box of 2 by 3 cells": [[1, 1, 2, 3]],
        "a small box inside a large one": [[0, 0, 5, 5], [2, 2, 3, 3]],
        "no box": [],
    }
    for words, boxes in trials.items():
        given = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        wanted, _ = scale_masks(given, (6, 8), (6, 8))
        got = torch.as_tensor(region(given.clone(), 6, 8))
        if got.shape != wanted.shape:
            raise Wrong(f"for {words} it has the shape {tuple(got.shape)}, not (6, 8)")
        if (got - wanted).abs().max() > 1e-6:
            raise Wrong(
                f"for {words}, {_first(got, wanted)}; every object weighs one in all, and "
                "where boxes overlap the larger value stays"
            )
    return "every object weighs one, however many cells it covers"


def _first(got: Tensor, wanted: Tensor) -> str:
    y, x = divmod(int((got - wanted).abs().argmax()), wanted.size(1))
    return f"cell ({y}, {x}) has {float(got[y, x]):.3g} and not {float(wanted[y, x]):.3g}"
