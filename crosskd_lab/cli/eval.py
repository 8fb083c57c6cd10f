"""``crosskd-lab eval``: the AP of a run, a checkpoint or a shipped teacher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table


def eval(
    saved: Annotated[
        str,
        typer.Argument(metavar="RUN_OR_CHECKPOINT", help="A run, a file, or a shipped teacher."),
    ],
    config: Annotated[
        str | None, typer.Option(help="What a bare checkpoint file was trained with.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A COCO-format folder; by default the config's own.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    out: Annotated[Path | None, typer.Option(help="Also write the numbers to this .json.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out records that are broken, and say which.")
    ] = False,
) -> None:
    """Measure the COCO AP of a detector: a run's last checkpoint, a file, a shipped teacher."""
    from rich.console import Console

    from ..engine.evaluate import evaluate, find_saved
    from ..files import open_folder, write_whole

    found = find_saved(saved, config)
    if out is not None:
        open_folder(out.parent)
    measured = evaluate(found.config, found.checkpoint, data, split, skip_bad)
    print(f"{saved}: {found.checkpoint.name} on {split}")
    Console().print(table(measured))
    if out is not None:
        write_whole(out, json.dumps(measured, indent=2) + "\n")


def table(measured: dict[str, float]) -> Table:
    """AP and its parts in points as one row; a dash where the set has no object of a size."""
    from rich.table import Table

    from ..engine.metrics import NAMES

    shown = Table(box=None, pad_edge=False)
    for name in NAMES:
        shown.add_column(name, justify="right")
    shown.add_row(*(f"{measured[name]:.1f}" if name in measured else "–" for name in NAMES))
    return shown
