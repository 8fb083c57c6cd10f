"""The notebooks as a book: executed in order, rendered to pages that need no network."""

import base64
import hashlib
import html
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import papermill  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter
from nbconvert.filters import markdown2html
from papermill.exceptions import PapermillExecutionError  # type: ignore[import-untyped]

from ..errors import LabError
from ..files import PACKAGE, PROJECT, read_json, sole_writer, write_whole

# Code, fenced or inline, comes first: dollars in it are no formulas.
_PIECES = re.compile(r"(```.*?```|`[^`\n]*`)|\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)
_SIZE = 12.0  # points; all lengths are given to the page relative to its own letters


def draw_formulas(markdown: str) -> str:
    """Replace ``$...$`` and ``$$...$$`` by pictures whose alternative text is the formula."""

    def drawn(match: re.Match[str]) -> str:
        code, display, inline = match.groups()
        if code is not None:
            return code
        formula = " ".join((display or inline).split())
        picture = formula_image(formula)
        return f'<span class="display-formula">{picture}</span>' if display else picture

    return _PIECES.sub(drawn, markdown)


@cache
def formula_image(formula: str) -> str:
    """One formula as an ``<img>`` on the line of its text; LabError if mathtext cannot set it."""
    font = FontProperties(size=_SIZE, math_fontfamily="cm")
    try:
        parsed = MathTextParser("path").parse(f"${formula}$", dpi=72, prop=font)
    except ValueError as error:
        reason = str(error).strip().splitlines()[-1]
        raise LabError(f"the formula ${formula}$ cannot be drawn: {reason}") from error
    width, height, depth = parsed[:3]
    figure = Figure(figsize=(width / 72, height / 72))
    figure.text(0, depth / height, f"${formula}$", fontproperties=font)
    out = io.BytesIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    data = base64.b64encode(out.getvalue()).decode()
    style = (
        f"width:{width / _SIZE:.3f}em;height:{height / _SIZE:.3f}em;"
        f"vertical-align:{-depth / _SIZE:.3f}em"
    )
    source = f"data:image/svg+xml;base64,{data}"
    alternative = html.escape(formula, quote=True)
    return f'<img class="formula" alt="{alternative}" style="{style}" src="{source}">'


NOTEBOOKS = PROJECT / "notebooks"


class Cover(NamedTuple):
    """A notebook's file, title, first paragraph, and what it takes (Markdown, a line each)."""

    path: Path
    title: str
    paragraph: str
    takes: str = ""

    @property
    def page(self) -> str:
        """File name of its page."""
        return f"{self.path.stem}.html"


@dataclass(frozen=True)
class Chapter:
    """A notebook that was executed, for so many ``seconds``.

    ``error`` is "cell 7: LabError: ..." where it failed, else None.
    """

    cover: Cover
    seconds: float = 0.0
    error: str | None = None

    @property
    def page(self) -> str:
        """File name of its page."""
        return self.cover.page


def covers(notebooks: str | Path = NOTEBOOKS) -> list[Cover]:
    """The covers of a folder's notebooks in the order of their file names; LabError for none."""
    paths = sorted(Path(notebooks).glob("*.ipynb"))
    if not paths:
        raise LabError(f"{notebooks} holds no notebooks: give the folder that does")
    return [read_cover(path) for path in paths]


def chosen(book: Sequence[Cover], only: Sequence[str] = ()) -> list[Cover]:
    """Those whose file names begin with one of some words, in the book's order; all for none.

    LabError for a word that begins no name, listing what there is.
    """
    for word in only:
        if not word or not any(cover.path.name.startswith(word) for cover in book):
            numbers = ", ".join(cover.path.stem.split("_")[0] for cover in book)
            raise LabError(f"no notebook begins with {word!r}: choose among {numbers}")
    return [c for c in book if not only or c.path.name.startswith(tuple(only))]


def read_cover(path: Path) -> Cover:
    """The cover of one notebook; LabError where it cannot be read or begins without a title."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:
        raise LabError(f"{path} cannot be read as a notebook: {error}") from error
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        raise LabError(f"{path}: the first cell must be Markdown that begins with '# Title'")
    title, _, rest = first.source.partition("\n")
    paragraphs = [" ".join(part.split()) for part in rest.strip().split("\n\n")]
    takes = re.search(r"Some (\d+ minutes.*)", "\n".join(paragraphs))
    return Cover(path, title[2:].strip(), paragraphs[0], takes[1] if takes else "")


STYLE = PACKAGE / "notebook" / "templates" / "book.css"
TITLE = "CrossKD Lab"


def contents(book: Sequence[Cover], made: Sequence[Chapter], scale: str, out: Path) -> str:
    """The first page: of all notebooks, those that this build has ``made`` so far, and those whose
    pages lie in ``out`` since an earlier build.
    """
    done = {chapter.cover.path: chapter for chapter in made}
    entries = []
    for cover in book:
        if chapter := done.get(cover.path):
            failed = chapter.error and f"Failed at {html.escape(chapter.error)}"
            entries.append(_entry(cover, failed or "", "failed"))
        elif _is_made(out / cover.page):
            entries.append(_entry(cover, "from an earlier build", "earlier"))
        else:
            number = html.escape(cover.path.stem.split("_")[0])
            remark = f"not made yet: <code>crosskd-lab book {number}</code>"
            entries.append(_entry(cover, remark, "to-come"))
    found = json.dumps(_words(book, out)).replace("</", "<\\/")
    return _page(
        TITLE,
        f"<p>The notebooks, executed in this order at scale {html.escape(scale)}.</p>\n"
        '<p><input id="search" type="search" placeholder="search the book" '
        'aria-label="search the book"></p><ul id="found" aria-live="polite"></ul>\n'
        f'<ol class="contents" start="0">\n{chr(10).join(entries)}\n</ol>'
        f"<script>const BOOK = {found};\n{(TEMPLATES / 'search.js').read_text('utf-8')}</script>",
    )


def _words(book: Sequence[Cover], out: Path) -> list[dict[str, str]]:
    """Per section of the chapters that are made: page, heading and text, for the search box."""
    sections = []
    for cover in book:
        if not _is_made(out / cover.page) or not (out / cover.path.name).is_file():
            continue
        notebook = nbformat.read(out / cover.path.name, as_version=4)
        prose = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        for part in re.split(r"(?m)^(?=#+ )", prose):
            if heading := re.match(r"#+ (.*)", part):
                anchor = re.sub(r"\s+", "-", heading[1].strip())
                said = " ".join(re.sub(r"<[^>]+>|[#*`$]", "", part).split())
                sections.append(
                    {"page": f"{cover.page}#{anchor}", "title": heading[1], "text": said}
                )
    return sections


def _entry(cover: Cover, remark: str, kind: str) -> str:
    asked = markdown2html(draw_formulas(cover.paragraph))
    remark = f'<p class="{kind}">{remark}</p>' if remark else ""
    return f'<li><a href="{cover.page}">{html.escape(cover.title)}</a>{asked}{remark}</li>'


TEMPLATES = PACKAGE / "notebook" / "templates"
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
    """Execute notebooks of a folder in order and render them into ``out``.

    A notebook that fails gets a page up to its error; the others are made all the same. The table
    of contents is there from the beginning and names what is still to come; pages of an earlier
    build stay in it.

    ``out`` gets ``index.html``, the pages and the executed notebooks; ``scale`` ("smoke", "cpu" or
    "gpu") and ``parameters`` are given to every notebook. ``only`` says which, by how their names
    begin ("04"), made whatever lies there; by default all whose notebook, parameters, package,
    records or race have changed. ``listener`` is called with each chapter as it is done, its number
    from 1, and how many there are. LabError as :func:`covers` and :func:`chosen`, or for a folder
    that cannot be written.
    """
    book = covers(notebooks)
    out = Path(out)
    chapters: list[Chapter] = []
    with sole_writer(out):
        parameters = {"scale": scale, **(parameters or {})}
        made = _made(out)
        inputs = {cover.page: _inputs(cover, parameters) for cover in book}
        wanted = [c for c in chosen(book, only) if only or made.get(c.page) != inputs[c.page]]
        for place, cover in enumerate(book):  # a page for each, so that no link leads nowhere
            if not (out / cover.page).is_file():
                write_whole(out / cover.page, _to_come(book, place))
        write_whole(out / "index.html", contents(book, chapters, scale, out))
        for number, cover in enumerate(wanted, 1):
            chapter = execute(cover, out, parameters)
            page = render(out / cover.path.name, cover.title, _navigation(book, book.index(cover)))
            write_whole(out / chapter.page, page)
            chapters.append(chapter)
            made[cover.page] = "" if chapter.error else inputs[cover.page]
            write_whole(out / MADE, json.dumps(made, indent=1))
            write_whole(out / "index.html", contents(book, chapters, scale, out))
            if listener:
                listener(chapter, number, len(wanted))
    return chapters


MADE = "made.json"
"""In a book's folder: from what each page was made."""


def _made(out: Path) -> dict[str, str]:
    """The checksums of what the pages that are there were made from."""
    try:
        made = read_json(out / MADE, "it will be written anew") if (out / MADE).exists() else {}
    except LabError:
        return {}
    return {page: said for page, said in made.items() if _is_made(out / page)}


def _inputs(cover: Cover, parameters: dict[str, Any]) -> str:
    """A checksum of what a page is made from."""
    shared = [*PACKAGE.rglob("*.py"), *TEMPLATES.iterdir()]
    shared += (PROJECT / "data" / "recorded").rglob("*.*")
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True, default=str).encode())
    for file in [cover.path, *sorted(shared), PROJECT / "runs" / "race" / "race.csv"]:
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def execute(cover: Cover, out: Path, parameters: dict[str, Any]) -> Chapter:
    """Run one notebook in a fresh kernel, in its own folder, and keep it in ``out``."""
    target = out / cover.path.name
    draft = target.with_name(f".{cover.path.stem}.part.ipynb")
    began, error = time.monotonic(), None
    run = partial(
        papermill.execute_notebook,
        str(cover.path),
        str(draft),
        parameters=parameters,
        kernel_name="python3",
        language="python",
        cwd=str(cover.path.parent),
        progress_bar=sys.stderr.isatty(),
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],  # it warns of local TCP
    )
    try:
        try:
            run()
        except DeadKernelError:
            raise
        except RuntimeError:  # a kernel that did not start: two at once may pick the same ports
            run()
    except PapermillExecutionError as failed:
        said = " ".join(failed.evalue.splitlines()[:1])  # of a bare assertion nothing
        error = f"cell {failed.cell_index}: {failed.ename}{said and f': {said}'}"
    except DeadKernelError:
        error = "its kernel died, for lack of memory perhaps"
    os.replace(draft, target)
    return Chapter(cover, time.monotonic() - began, error)


def render(executed: Path, title: str, navigation: str) -> str:
    """One executed notebook as a page that fetches nothing; LabError for a formula that cannot be
    drawn.
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
        template_file=str(TEMPLATES / "chapter.html.j2"), extra_template_basedirs=[str(TEMPLATES)]
    )
    exporter.config.NbConvertBase.display_data_priority = RICHEST_FIRST
    style = (TEMPLATES / "book.css").read_text()
    resources = {"book": {"style": style, "navigation": navigation}, "metadata": {"name": title}}
    page, _ = exporter.from_notebook_node(notebook, resources=resources)
    page = page.replace(
        "No description has been provided for this image", "what the cell above draws"
    )
    page = _SOURCE.sub(r'\1<span class="badge \2">\2</span>', page)
    return re.sub(r'\.ipynb(?=["#])', ".html", page)


_SOURCE = re.compile(r"(<td[^>]*>)\s*(paper|recorded|yours)\s*(?=</td>)")
"""Where a table's number is from."""


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
    chapters = "".join(
        f"<li{' class=here' * (k == place)}>{link(cover, '{}')}</li>"
        for k, cover in enumerate(book)
    )
    return (
        f'<nav class="chapters" aria-label="Chapters"><a href="index.html">{TITLE}</a>'
        f'<ol start="0">{chapters}</ol></nav>'
        f'<nav class="book" aria-label="Neighbours">{before}<a href="index.html">Contents</a>'
        f"{after}</nav>"
    )


UNMADE = "<!-- not made yet -->"


def _to_come(book: list[Cover], place: int) -> str:
    """The page of a chapter that is not made yet."""
    number = html.escape(book[place].path.stem.split("_")[0])
    text = f"<p>Not made yet: <code>crosskd-lab book {number}</code> or <code>make book</code>.</p>"
    asked = markdown2html(draw_formulas(book[place].paragraph))
    return _page(book[place].title, UNMADE + _navigation(book, place) + asked + text)


def _page(title: str, body: str) -> str:
    """A page of our own."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title>"
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE.read_text()}</style></head>\n<body><h1>{html.escape(title)}</h1>\n"
        f"{body}</body></html>\n"
    )


def _is_made(page: Path) -> bool:
    """Whether a page is there and no stand-in."""
    return page.is_file() and UNMADE not in page.read_text("utf-8")[:20_000]
