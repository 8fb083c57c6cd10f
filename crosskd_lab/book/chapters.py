"""Which notebooks there are, in order, and what their first lines say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import nbformat

from crosskd_lab.errors import LabError
from crosskd_lab.files import PROJECT

NOTEBOOKS = PROJECT / "notebooks"


class Cover(NamedTuple):
    """A notebook's file, title and first paragraph (Markdown, on one line)."""

    path: Path
    title: str
    paragraph: str

    @property
    def page(self) -> str:
        """File name of its page."""
        return f"{self.path.stem}.html"


@dataclass(frozen=True)
class Chapter:
    """A notebook that was executed.

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
        return self.cover.page


def covers(notebooks: str | Path = NOTEBOOKS) -> list[Cover]:
    """The covers of all notebooks of a folder, in the order of their file names.

    Raises:
        LabError: for a folder without notebooks, or a notebook that cannot be read or begins
            without a title.
    """
    paths = sorted(Path(notebooks).glob("*.ipynb"))
    if not paths:
        raise LabError(f"{notebooks} holds no notebooks: give the folder that does")
    return [read_cover(path) for path in paths]


def chosen(book: Sequence[Cover], only: Sequence[str] = ()) -> list[Cover]:
    """Those whose file names begin with one of some words, in the book's order; all for none.

    Raises:
        LabError: for a word that begins no name; the message lists what there is.
    """
    for word in only:
        if not word or not any(cover.path.name.startswith(word) for cover in book):
            numbers = ", ".join(cover.path.stem.split("_")[0] for cover in book)
            raise LabError(f"no notebook begins with {word!r}: choose among {numbers}")
    return [c for c in book if not only or c.path.name.startswith(tuple(only))]


def read_cover(path: Path) -> Cover:
    """Title and first paragraph of one notebook.

    Raises:
        LabError: as `covers`.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:
        raise LabError(f"{path} cannot be read as a notebook: {error}") from error
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        raise LabError(f"{path}: the first cell must be Markdown that begins with '# Title'")
    title, _, rest = first.source.partition("\n")
    paragraph = rest.strip().split("\n\n")[0]
    return Cover(path, title[2:].strip(), " ".join(paragraph.split()))
