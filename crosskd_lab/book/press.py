"""Execute every notebook, render each to a page, and bind them with a table of contents."""

from __future__ import annotations

import html
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill  # type: ignore[import-untyped]
from nbconvert import HTMLExporter
from nbconvert.filters import markdown2html
from papermill.exceptions import PapermillExecutionError  # type: ignore[import-untyped]

from crosskd_lab.book.chapters import NOTEBOOKS, Cover, covers
from crosskd_lab.book.maths import draw_formulas
from crosskd_lab.errors import LabError
from crosskd_lab.files import write_whole

TEMPLATES = Path(__file__).parent / "templates"
# What a page shows of an output: pictures before text, and no widgets, which need a kernel.
RICHEST_FIRST = ["text/html", "text/markdown", "image/svg+xml", "image/png", "text/plain"]
WIDGET = "application/vnd.jupyter.widget-view+json"
TITLE = "CrossKD Lab"


@dataclass(frozen=True)
class Chapter:
    """A notebook of the book.

    Attributes:
        cover: The notebook, its title and first paragraph.
        seconds: How long it ran.
        error: "cell 7: LabError: ..." where it failed, else None.
    """

    cover: Cover
    seconds: float = 0.0
    error: str | None = None

    @property
    def page(self) -> str:
        """File name of its page."""
        return f"{self.cover.path.stem}.html"


def build_book(
    out: str | Path,
    scale: str = "cpu",
    notebooks: str | Path = NOTEBOOKS,
    parameters: dict[str, Any] | None = None,
    listener: Callable[[Chapter, int, int], None] | None = None,
) -> list[Chapter]:
    """Execute all notebooks of a folder in order and render them into ``out``.

    A notebook that fails gets a page up to its error; the others are made all the same.

    Args:
        out: Folder of ``index.html``, the pages and the executed notebooks.
        scale: "smoke", "cpu" or "gpu", given to every notebook.
        notebooks: Folder of the notebooks.
        parameters: More values for the notebooks' parameters.
        listener: Called with each chapter as it is done, its number from 1, and how many there are.

    Raises:
        LabError: as :func:`covers`, or for a folder that cannot be written.
    """
    out = Path(out)
    book = covers(notebooks)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"{out} cannot be made ({error.strerror}): give another --out") from error
    chapters: list[Chapter] = []
    for number, cover in enumerate(book, 1):
        chapter = execute(cover, out, {"scale": scale, **(parameters or {})})
        page = render(out / cover.path.name, _navigation(book, number - 1))
        write_whole(out / chapter.page, page)
        chapters.append(chapter)
        if listener:
            listener(chapter, number, len(book))
    write_whole(out / "index.html", _contents(chapters, scale))
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
    """Whether an output is a widget without a picture of itself, such as a progress bar."""
    data = output.get("data", {})
    return WIDGET in data and not set(data) & set(RICHEST_FIRST[:-1])


def _navigation(book: list[Cover], place: int) -> str:
    """Links to the chapter before, the contents and the chapter after."""

    def link(cover: Cover, text: str) -> str:
        return f'<a href="{cover.path.stem}.html">{text.format(html.escape(cover.title))}</a>'

    before = link(book[place - 1], "← {}") if place else "<span></span>"
    after = link(book[place + 1], "{} →") if place + 1 < len(book) else "<span></span>"
    return f'<nav class="book">{before}<a href="index.html">Contents</a>{after}</nav>'


def _contents(chapters: list[Chapter], scale: str) -> str:
    entries = [_entry(chapter) for chapter in chapters]
    style = (TEMPLATES / "book.css").read_text()
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{TITLE}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head>\n<body><h1>{TITLE}</h1>\n"
        f"<p>The notebooks, executed in this order at scale {html.escape(scale)}.</p>\n"
        f'<ol class="contents" start="0">\n{chr(10).join(entries)}\n</ol></body></html>\n'
    )


def _entry(chapter: Chapter) -> str:
    asked = markdown2html(draw_formulas(chapter.cover.paragraph))
    failed = (
        f'<p class="failed">Failed at {html.escape(chapter.error)}</p>' if chapter.error else ""
    )
    link = f'<a href="{chapter.page}">{html.escape(chapter.cover.title)}</a>'
    return f"<li>{link}{asked}{failed}</li>"
