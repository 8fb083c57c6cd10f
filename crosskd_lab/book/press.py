"""Execute notebooks, render each to a page, and bind them with a table of contents."""

from __future__ import annotations

import html
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
import papermill  # type: ignore[import-untyped]
from nbconvert import HTMLExporter
from papermill.exceptions import PapermillExecutionError  # type: ignore[import-untyped]

from crosskd_lab.book.chapters import NOTEBOOKS, Chapter, Cover, chosen, covers
from crosskd_lab.book.contents import contents
from crosskd_lab.book.maths import draw_formulas
from crosskd_lab.errors import LabError
from crosskd_lab.files import PACKAGE, open_folder, write_whole

TEMPLATES = PACKAGE / "book" / "templates"
# What a page shows of an output: pictures before text, and no widgets, which need a kernel.
RICHEST_FIRST = ["text/html", "text/markdown", "image/svg+xml", "image/png", "text/plain"]
WIDGET = "application/vnd.jupyter.widget-view+json"


def build_book(
    out: str | Path,
    scale: str = "cpu",
    notebooks: str | Path = NOTEBOOKS,
    parameters: dict[str, Any] | None = None,
    only: Sequence[str] = (),
    listener: Callable[[Chapter, int, int], None] | None = None,
) -> list[Chapter]:
    """Execute all notebooks of a folder in order and render them into ``out``.

    A notebook that fails gets a page up to its error; the others are made all the same. The table
    of contents is there from the beginning and names what is still to come; pages of an earlier
    build stay in it.

    Args:
        out: Folder of ``index.html``, the pages and the executed notebooks.
        scale: "smoke", "cpu" or "gpu", given to every notebook.
        notebooks: Folder of the notebooks.
        parameters: More values for the notebooks' parameters.
        only: Which notebooks, by how their names begin ("04"); all by default.
        listener: Called with each chapter as it is done, its number from 1, and how many there are.

    Raises:
        LabError: as :func:`covers` and :func:`chosen`, or for a folder that cannot be written.
    """
    book = covers(notebooks)
    wanted = chosen(book, only)
    out = open_folder(out)
    chapters: list[Chapter] = []
    write_whole(out / "index.html", contents(book, chapters, scale, out))
    for number, cover in enumerate(wanted, 1):
        chapter = execute(cover, out, {"scale": scale, **(parameters or {})})
        page = render(out / cover.path.name, _navigation(book, book.index(cover)))
        write_whole(out / chapter.page, page)
        chapters.append(chapter)
        write_whole(out / "index.html", contents(book, chapters, scale, out))
        if listener:
            listener(chapter, number, len(wanted))
    return chapters


def execute(cover: Cover, out: Path, parameters: dict[str, Any]) -> Chapter:
    """Run one notebook in a fresh kernel, in its own folder, and keep it in ``out``."""
    target = out / cover.path.name
    draft = target.with_name(f".{cover.path.stem}.part.ipynb")
    began, error = time.monotonic(), None
    try:
        papermill.execute_notebook(
            str(cover.path),
            str(draft),
            parameters=parameters,
            kernel_name="python3",
            language="python",
            cwd=str(cover.path.parent),
            progress_bar=sys.stderr.isatty(),
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],  # it warns of local TCP
        )
    except PapermillExecutionError as failed:
        error = f"cell {failed.cell_index}: {failed.ename}: {failed.evalue.splitlines()[0]}"
    os.replace(draft, target)
    return Chapter(cover, time.monotonic() - began, error)


def render(executed: Path, navigation: str) -> str:
    """One executed notebook as a page that fetches nothing.

    Raises:
        LabError: for a formula that cannot be drawn, naming the notebook.
    """
    notebook = nbformat.read(executed, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _needs_kernel(output)]
            continue
        try:
            cell.source = draw_formulas(cell.source)
        except LabError as error:
            raise LabError(f"{executed.name}: {error}") from error
    exporter = HTMLExporter(
        template_file=str(TEMPLATES / "chapter.html.j2"),
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
    )
    exporter.config.NbConvertBase.display_data_priority = RICHEST_FIRST
    style = (TEMPLATES / "book.css").read_text()
    book = {"style": style, "navigation": navigation}
    page, _ = exporter.from_notebook_node(notebook, resources={"book": book})
    return page.replace('.ipynb"', '.html"')


def _needs_kernel(output: Any) -> bool:
    """Whether an output is a widget without a picture of itself, such as a progress bar.

    A bar that has been closed leaves an output of nothing.
    """
    if "data" not in output:
        return False
    kinds = set(output["data"])
    return not kinds or (WIDGET in kinds and not kinds & set(RICHEST_FIRST[:-1]))


def _navigation(book: list[Cover], place: int) -> str:
    """Links to the chapter before, the contents and the chapter after."""

    def link(cover: Cover, text: str) -> str:
        return f'<a href="{cover.path.stem}.html">{text.format(html.escape(cover.title))}</a>'

    before = link(book[place - 1], "← {}") if place else "<span></span>"
    after = link(book[place + 1], "{} →") if place + 1 < len(book) else "<span></span>"
    return f'<nav class="book">{before}<a href="index.html">Contents</a>{after}</nav>'
