"""``crosskd-lab recipes``: the rows of the paper that can be trained here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

SHOWN = {
    "recipe": "recipe",
    "teacher": "teacher",
    "student": "student",
    "method": "method",
    "AP": "paper's AP",
    "epochs": "epochs",
    "images": "images a step",
    "teacher_here": "teacher here",
}


def recipes(
    table: Annotated[int | None, typer.Option(help="Only this table of the paper, 1 to 8.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write all columns to this file.")] = None,
) -> None:
    """List the paper's recipes: what each re-makes, what the paper reports, what is still missing.

    Start one with 'crosskd-lab launch RECIPE --gpus 8 --data COCO'. The paper says eight GPUs with
    two images each; the rate follows the batch. GPU-hours depend on yours and are not guessed.
    """
    from crosskd_lab.errors import LabError
    from crosskd_lab.files import write_whole
    from crosskd_lab.recipes import recipes as listed

    frame = listed()
    if table is not None:
        frame = frame[frame["table"] == table]
        if frame.empty:
            raise LabError(f"no recipe belongs to table {table}: the paper has Tables 1 to 8")
    shown = Table(box=None, pad_edge=False)
    for name, title in SHOWN.items():
        number = name in ("AP", "epochs", "images")
        shown.add_column(title, justify="right" if number else "left", no_wrap=name == "recipe")
    for _, row in frame.iterrows():
        shown.add_row(*(_cell(row[name]) for name in SHOWN))
    Console().print(shown)
    if csv is not None:
        write_whole(csv, frame.to_csv(index=False))
        print(f"wrote {csv}")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value != value:
        return "–"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
