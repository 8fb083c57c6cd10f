"""``crosskd-lab book``: the notebooks, executed and rendered to pages."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer


def book(
    notebooks: Annotated[
        list[str] | None, typer.Argument(help="Which, by their numbers (04 05); all by default.")
    ] = None,
    scale: Annotated[str, typer.Option(help="smoke (seconds), cpu or gpu.")] = "cpu",
    out: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("build/book"),
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page where there is a desktop.")
    ] = False,
) -> None:
    """Execute the notebooks and render them; the first page, index.html, grows as they are made.

    Those that are named are made; without names, those that are not made yet, or that have changed
    since: the notebook, the package, its records or your race.
    """
    from ..notebook.book import Chapter, build_book
    from ..notebook.students import effort

    effort(scale)

    def tell(chapter: Chapter, number: int, total: int) -> None:
        name, error = chapter.cover.path.name, chapter.error
        typer.echo(f"[{number}/{total}] {name}: {chapter.seconds:.0f} s", err=False)
        if error:
            typer.echo(f"crosskd-lab: {name}, {error}", err=True)

    chapters = build_book(out, scale, only=notebooks or (), listener=tell)
    page = out / (chapters[0].page if len(chapters) == 1 else "index.html")
    typer.echo(f"{page}")
    if show and (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()):
        webbrowser.open(page.resolve().as_uri())
    if any(chapter.error for chapter in chapters):
        raise typer.Exit(1)
