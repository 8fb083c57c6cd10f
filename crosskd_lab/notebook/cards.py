"""Method cards: what a method is, needs, weighs and costs, and what AP it reached, on one page.

Everything on a card comes from somewhere else: the words from the class's docstring, the defaults
from its signature, the paper's AP from ``data/paper/table5.csv``, ours from ``data/recorded``.
:func:`card` gives the words, :func:`picture` what the method weighs on an image of yours.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from ..configs import read_config
from ..distiller import build_method
from ..errors import LabError
from ..gradients import method_views
from ..methods import METHODS
from ..methods.base import Method
from ..pair import Pair
from ..report.head_figures import method_figure
from ..report.results import RECORDED, measured_rows, measured_runs, paper_table
from ..report.stats import points

COSTS = "method_costs.csv"
"""File in ``data/recorded`` that ``benchmarks/methods.py --out`` writes."""

IN_TABLE_5 = {
    "fitnets": "FitNets",
    "inside_gt": "Inside GT Box",
    "defeat": "DeFeat",
    "main_region": "Main Region",
    "fine_grained": "Fine-Grained",
    "fgd": "FGD",
    "gid": "GID",
    "skd": "SKD",
    "ld": "LD",
    "pkd": "PKD",
    "crosskd": "CrossKD",
}
_PART = re.compile(r"^(Paper|Idea|Needs|Symbols|Carried over|Unverified): ", re.MULTILINE)


def card(name: str, root: str | Path | None = None) -> str:
    """A method's card in Markdown.

    Args:
        name: The method's name in :data:`crosskd_lab.methods.METHODS`, such as "fgd".
        root: Folder of recorded runs and costs instead of ``data/recorded``.

    Raises:
        LabError: for an unknown name, listing what there is.
    """
    kind = _known(name)
    title = (sys.modules[kind.__module__].__doc__ or "").strip().splitlines()[0]
    facts = {
        "Default settings": _settings(kind),
        "Trained beside the student": _trained(name),
        "Cost on top of the student's step": _cost(name, root),
        "AP in the paper (Table 5)": _paper_ap(name),
        "AP recorded here": _recorded_ap(name, root),
    }
    rows = "\n".join(f"| {what} | {value} |" for what, value in facts.items())
    return f"### {kind.__name__}\n\n{title}\n\n{words(kind)}\n\n| | |\n|---|---|\n{rows}\n"


def picture(
    name: str,
    pair: Pair,
    batch: Mapping[str, Any],
    image: int = 0,
    root: str | Path | None = None,
) -> Figure:
    """What a method weighs on one image, where it pulls there, and its cost among the others.

    Args:
        name: As for :func:`card`.
        pair: Student and teacher of pocket scale.
        batch: ``inputs`` and ``data_samples`` with ground truth.
        image: Index in the batch.
        root: As for :func:`card`.

    Raises:
        LabError: for an unknown name, or a method that cannot serve the pair.
    """
    view = method_views(pair, batch, {name: pocket_method(name, pair)}, image)[name]
    return method_figure(name, view.image, view.boxes, view.maps, read_costs(root))


def pocket_method(name: str, pair: Pair | None = None) -> Method:
    """A method with the settings of its pocket config, attached to a pair where one is given.

    What it trains starts from seed 0.

    Raises:
        LabError: for an unknown name, or a method that cannot serve the pair.
    """
    _known(name)
    (entry,) = read_config(f"pocket/{name}").methods
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = build_method(entry)
        if pair is not None:
            method.attach(pair.student_head, pair.teacher_head)
            method.to(next(pair.student.parameters()).device)
    return method


def read_costs(root: str | Path | None = None, device: str | None = None) -> pd.DataFrame:
    """Measured costs of all methods on one device, a row a method in the order of Table 5.

    Args:
        root: As for :func:`card`.
        device: "cpu" or "cuda"; None takes the first that was measured.

    Returns:
        ``method``, ``device``; ``extra_ms`` and ``extra_mb`` over the student alone, ``own_ms``
        and ``own_mb`` over student and teacher's forward. Empty where nothing was measured.
    """
    path = Path(RECORDED if root is None else root) / COSTS
    if not path.is_file():
        columns = ["method", "device", "extra_ms", "extra_mb", "own_ms", "own_mb"]
        return pd.DataFrame(columns=columns)
    costs = pd.read_csv(path)
    costs = costs[costs["device"] == (device or costs["device"].iloc[0])]
    return costs.set_index("method").reindex(METHODS).dropna(how="all").reset_index()


def words(kind: type[Method]) -> str:
    """The class's docstring up to its arguments, as Markdown."""
    text = inspect.getdoc(kind) or ""
    text = text.split("\nArgs:\n")[0].strip()
    text = re.sub(r":(?:class|func|mod|data|meth):`~?([^`]*)`", r"`\1`", text)
    text = re.sub(r"::\n\n((?:    .*\n?|\n)+)", _code_block, text).replace("``", "`")
    return _PART.sub(r"**\1:** ", text)


def _code_block(indented: re.Match[str]) -> str:
    lines = inspect.cleandoc("\n" + indented[1]).rstrip()
    return f":\n\n~~~text\n{lines}\n~~~\n\n"


def _known(name: str) -> type[Method]:
    if name not in METHODS:
        raise LabError(f"there is no method {name!r}: choose one of {', '.join(METHODS)}")
    return METHODS[name]


def _settings(kind: type[Method]) -> str:
    given = [
        f"{p.name} = {p.default!r}"
        for p in inspect.signature(kind).parameters.values()
        if p.default is not p.empty
    ]
    return f"`{', '.join(given)}`" if given else "none"


def _trained(name: str) -> str:
    count = sum(p.numel() for p in pocket_method(name).parameters())
    return f"{count:,} parameters at pocket scale, gone after training" if count else "nothing"


def _paper_ap(name: str) -> str:
    if name not in IN_TABLE_5:
        return "not in the table"
    rows = paper_table(5).set_index("method")
    found, alone = rows.loc[IN_TABLE_5[name]], rows[rows["role"] == "student"].iloc[0]
    return f"{found['AP']:.1f} on COCO, the student alone {alone['AP']:.1f}"


def _recorded_ap(name: str, root: str | Path | None) -> str:
    sweep = "table1" if name == "kd" else "table5"  # the sweeps that have a row of this name
    rows = measured_rows(measured_runs(sweep, RECORDED if root is None else root))
    row = rows.set_index("row").loc[name]
    if not row["n"]:
        return "none yet"
    gain = "" if pd.isna(row["to_none"]) else f", {row['to_none']:+.1f} to the student alone"
    stale = "; the code of today begins otherwise" if row["stale"] else ""
    mean = points(row["mean"], row["half_width"])
    return f"{mean} over {row['n']} seed(s){gain}, not on COCO{stale}"


def _cost(name: str, root: str | Path | None) -> str:
    path = Path(RECORDED if root is None else root) / COSTS
    if not path.is_file():
        return "not measured yet: `python benchmarks/methods.py`"
    costs = pd.read_csv(path)
    costs = costs[costs["method"] == name]
    each = [
        f"{row.extra_ms:.1f} ms, {row.extra_mb:.1f} MB ({row.device})" for row in costs.itertuples()
    ]
    return "; ".join(each) or "not measured"
