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
from collections.abc import Callable, Container, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
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
TEMPLATES = PACKAGE / "notebook" / "templates"
STYLE = TEMPLATES / "book.css"


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

    @property
    def number(self) -> str:
        """What its file name begins with: "04"."""
        return self.path.stem.split("_")[0]


class Chapter(NamedTuple):
    """A notebook that was executed, for so many ``seconds``.

    ``error`` is "cell 7: LabError: ..." where it failed, else None.
    """

    cover: Cover
    seconds: float = 0.0
    error: str | None = None


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
            numbers = ", ".join(cover.number for cover in book)
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


@cache
def _templates() -> jinja2.Environment:
    """The pages of our own; the filter ``prose`` is Markdown with its formulas drawn."""
    found = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    found.filters["prose"] = lambda text: markdown2html(draw_formulas(text))
    found.globals["style"] = STYLE.read_text()
    return found


def _page(template: str, **given: Any) -> str:
    return _templates().get_template(template).render(**given)


def contents(
    book: Sequence[Cover], chapters: Sequence[Chapter], made: Container[str], scale: str, out: Path
) -> str:
    """The first page, of all notebooks: ``chapters`` that this build has executed so far, and the
    names of the pages in ``out`` that are ``made``, by this build or an earlier one.
    """
    told = {chapter.cover.page: chapter.error for chapter in chapters}
    sections = _sections((cover for cover in book if cover.page in made), out)
    return _page(
        "contents.html.j2", book=book, told=told, made=made, scale=scale, sections=sections
    )


def _sections(made: Iterable[Cover], out: Path) -> list[dict[str, str]]:
    """Per section of the chapters that are made: page, heading and text, for the search box."""
    sections = []
    for cover in made:
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


# What a page shows of an output: pictures before text, and no widgets, which need a kernel.
RICHEST_FIRST = ["text/html", "text/markdown", "image/svg+xml", "image/png", "text/plain"]
WIDGET = "application/vnd.jupyter.widget-view+json"
MADE = "made.json"
"""In a book's folder: the checksum of what each page was made from; "" of one that failed."""


def build_book(
    out: str | Path,
    scale: str = "cpu",
    notebooks: str | Path = NOTEBOOKS,
    only: Sequence[str] = (),
    listener: Callable[[Chapter, int, int], None] | None = None,
) -> list[Chapter]:
    """Execute notebooks of a folder in order and render them into ``out``.

    A notebook that fails gets a page up to its error; the others are made all the same. The table
    of contents is there from the beginning and names what is still to come; pages of an earlier
    build stay in it.

    ``out`` gets ``index.html``, the pages and the executed notebooks; ``scale`` is "smoke", "cpu"
    or "gpu". ``only`` says which, by how their names begin ("04"), made whatever lies there; by
    default all whose notebook, scale, package, records or race have changed. ``listener`` is called
    with each chapter as it is done, its number from 1, and how many there are. LabError as
    :func:`covers` and :func:`chosen`, or for a folder that cannot be written.
    """
    book = covers(notebooks)
    out = Path(out)
    chapters: list[Chapter] = []
    with sole_writer(out):
        made = read_json(out / MADE, "delete it") if (out / MADE).exists() else {}
        there = {c.page for c in book if (out / c.page).is_file() and (out / c.path.name).is_file()}
        made = {page: said for page, said in made.items() if page in there}
        asked = chosen(book, only)
        wanted = [c for c in asked if only or made.get(c.page) != _inputs(c, scale)]
        for cover in book:  # a page for each, so that no link leads nowhere
            if not (out / cover.page).is_file():
                write_whole(out / cover.page, _page("to_come.html.j2", book=book, cover=cover))
        write_whole(out / "index.html", contents(book, chapters, made, scale, out))
        for number, cover in enumerate(wanted, 1):
            inputs = _inputs(cover, scale)  # now: an earlier chapter may have run the race
            chapter = execute(cover, out, {"scale": scale})
            navigation = _page("navigation.html.j2", book=book, cover=cover)
            try:
                page = render(out / cover.path.name, cover.title, navigation)
                write_whole(out / cover.page, page)
            except LabError as error:
                chapter = chapter._replace(error=str(error))
            chapters.append(chapter)
            made[cover.page] = "" if chapter.error else inputs
            write_whole(out / MADE, json.dumps(made, indent=1))
            write_whole(out / "index.html", contents(book, chapters, made, scale, out))
            if listener:
                listener(chapter, number, len(wanted))
    return chapters


def _inputs(cover: Cover, scale: str) -> str:
    """A checksum of what a page is made from."""
    shared = [*PACKAGE.rglob("*.py"), *TEMPLATES.iterdir()]
    shared += (PROJECT / "data" / "recorded").rglob("*.*")
    digest = hashlib.sha256(scale.encode())
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
        outputs = [output.get("data", {}) for output in cell.get("outputs", [])]
        texts = [(data, "text/markdown") for data in outputs if "text/markdown" in data]
        if cell.cell_type == "markdown":
            texts.append((cell, "source"))
        for place, key in texts:
            try:
                place[key] = draw_formulas(place[key])
            except LabError as error:
                raise LabError(f"{executed.name}: {error}") from error
    exporter = HTMLExporter(
        template_file=str(TEMPLATES / "chapter.html.j2"), extra_template_basedirs=[str(TEMPLATES)]
    )
    exporter.config.NbConvertBase.display_data_priority = RICHEST_FIRST
    resources = {
        "book": {"style": STYLE.read_text(), "navigation": navigation},
        "metadata": {"name": title},
    }
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
