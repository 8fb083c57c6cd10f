"""``crosskd-lab teacher``: ship a trained detector as a teacher; check a shipped one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Ship a trained detector as a teacher; check one.")


@app.command()
def ship(
    run: Annotated[Path, typer.Argument(help="Folder of a run that is done.")],
    name: Annotated[str, typer.Option(help="The teacher's name in data/teachers.")],
    sets: Annotated[int, typer.Option(min=2, help="Held-out sets to measure it on.")] = 20,
) -> None:
    """Put a run's detector into data/teachers in half precision, with its record.

    The record says what AP to expect on scenes that nobody has seen, and within what interval.
    """
    from crosskd_lab.teacher import ship as put

    measured = put(run, name, sets)
    low, high = measured["interval"]
    print(
        f"{name}: AP {measured['mean']:.1f}, sd {measured['sd']:.1f} over {sets} held-out sets; "
        f"a fresh set must fall within {low:.1f} ... {high:.1f}"
    )


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A teacher in data/teachers.")],
    seed: Annotated[int, typer.Option(help="Which fresh scenes to draw.")] = 2000,
) -> None:
    """Measure a shipped teacher on freshly drawn scenes against its record."""
    from crosskd_lab.teacher import check as measure

    verdict = measure(name, seed)
    where = "inside" if verdict.inside else "OUTSIDE"
    print(f"{name}: AP {verdict.ap:.1f}, {where} {verdict.low:.1f} ... {verdict.high:.1f}")
    raise typer.Exit(0 if verdict.inside else 1)
