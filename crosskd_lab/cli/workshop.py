"""``crosskd-lab workshop``: what an instructor hands out, and what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Csv, Wide
from .show import print_table, write_csv

app = typer.Typer(no_args_is_help=True, help="Editions, wheels and judged hand-ins for a room.")
SHOWN = {"learner": "learner", "chapter": "chapter", "verdict": "verdict", "said": "said"}


@app.command()
def pack(
    out: Annotated[Path, typer.Argument(help="Folder of the two editions.")],
    chapters: Annotated[
        list[str] | None, typer.Argument(help="Which, by their numbers (01 04); all by default.")
    ] = None,
    scale: Annotated[str, typer.Option(help="What their first cell says: smoke, cpu or gpu.")] = (
        "cpu"
    ),
) -> None:
    """Write OUT/students without solutions, hints and answers, and OUT/instructor with them."""
    from ..notebook import workshop
    from ..notebook.students import effort

    effort(scale)
    made = workshop.pack(out, chapters or (), scale)
    print(f"{len(made)} chapters in {out / 'students'} and {out / 'instructor'}")


@app.command()
def wheels(out: Annotated[Path, typer.Argument(help="Folder of the wheels.")]) -> None:
    """Fetch all wheels for machines like this one: 'make demo WHEELS=OUT' needs no network."""
    from ..notebook import workshop

    workshop.fetch_wheels(out)
    print(f"{len(list(out.glob('*.whl')))} wheels in {out}: make demo WHEELS={out}")


@app.command()
def collect(
    folders: Annotated[list[Path], typer.Argument(help="Handed-in notebooks, a folder a learner.")],
    csv: Csv = None,
    wide: Wide = False,
) -> None:
    """Execute handed-in notebooks and list what their judges say. It runs the learners' code."""
    from ..notebook import workshop

    found = workshop.collect(folders)
    print_table([*map(dict, found.to_dict("records"))], SHOWN, wide=wide)
    right = found["verdict"].eq("right").groupby(found["learner"]).sum()
    print(", ".join(f"{who}: {count} right" for who, count in right.items()))
    write_csv(found, csv)
