"""``crosskd-lab book``: the notebooks, executed and rendered to pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def book(
    notebooks: Annotated[
        list[str] | None, typer.Argument(help="Which, by their numbers (04 05); all by default.")
    ] = None,
    scale: Annotated[str, typer.Option(help="smoke (seconds), cpu or gpu.")] = "cpu",
    out: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("build/book"),
) -> None:
    """Execute the notebooks and render them; the first page, index.html, grows as they are made."""
    from ..notebook.book import Chapter, build_book
    from ..notebook.students import effort

    effort(scale)

    def tell(chapter: Chapter, number: int, total: int) -> None:
        name, error = chapter.cover.path.name, chapter.error
        typer.echo(f"[{number}/{total}] {name}: {chapter.seconds:.0f} s", err=False)
        if error:
            typer.echo(f"crosskd-lab: {name}, {error}", err=True)

    chapters = build_book(out, scale, only=notebooks or (), listener=tell)
    typer.echo(f"{out / 'index.html'}")
    if any(chapter.error for chapter in chapters):
        raise typer.Exit(1)
