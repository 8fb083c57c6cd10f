"""Which notebooks there are, in order, and what their first lines say."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import nbformat

from crosskd_lab.errors import LabError

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


class Cover(NamedTuple):
    """A notebook's file, title and first paragraph (Markdown, on one line)."""

    path: Path
    title: str
    paragraph: str


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
