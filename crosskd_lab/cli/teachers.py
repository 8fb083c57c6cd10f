"""``crosskd-lab teachers``: get a public teacher, list all, ship one, check a shipped one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Wide
from .show import print_table

app = typer.Typer(no_args_is_help=True, help="Get a public teacher; list, ship and check teachers.")


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="A public teacher; `teachers list` has them.")],
    source: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="A folder that has the file.")
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(metavar="URL", help="In place of mmdetection/v2.0."),
    ] = None,
) -> None:
    """Fetch a public teacher of the paper's students into data/teachers, resumed and checked."""
    from ..data.fetch import ZOO, get_teacher

    print(get_teacher(name, source=source, mirror=mirror or ZOO))


@app.command("list")
def list_teachers(wide: Wide = False) -> None:
    """Name the teachers that are shipped with the lab, and the public ones with their files."""
    from ..configs import PUBLIC, TEACHERS, local_file
    from ..files import portable_path
    from ..runs.recipes import teachers

    files = {name: TEACHERS / f"{name}.safetensors" for name in teachers()}
    files |= {name: local_file(name) for name in PUBLIC}
    rows = []
    for name, file in files.items():
        kind = "public" if name in PUBLIC else "shipped"
        told = (kind, portable_path(file)) if file.is_file() else ("to be fetched", PUBLIC[name])
        rows.append({"name": name, "is": told[0], "from": told[1]})
    print_table(rows, {"name": "teacher", "is": "is", "from": "file or address"}, wide=wide)


@app.command()
def ship(
    run: Annotated[Path, typer.Argument(help="Folder of a run that is done.")],
    name: Annotated[str, typer.Option(help="The teacher's name in data/teachers.")],
    sets: Annotated[int, typer.Option(min=2, help="Held-out sets to measure it on.")] = 20,
) -> None:
    """Put a run's detector into data/teachers in half precision, with its record.

    The record says what AP to expect on scenes that nobody has seen, and within what interval.
    """
    from ..engine.teacher import ship as put

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
    from ..engine.teacher import check as measure

    verdict = measure(name, seed)
    where = "inside" if verdict.inside else "OUTSIDE"
    print(f"{name}: AP {verdict.ap:.1f}, {where} {verdict.low:.1f} ... {verdict.high:.1f}")
    raise typer.Exit(0 if verdict.inside else 1)
