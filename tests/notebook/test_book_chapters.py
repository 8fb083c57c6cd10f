"""Titles and first paragraphs, in the order of the files."""

from __future__ import annotations

import nbformat
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.notebook.book import NOTEBOOKS, chosen, covers


def write(path, source, kind="markdown"):
    cell = getattr(nbformat.v4, f"new_{kind}_cell")(source)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


def test_covers_come_in_order_with_title_and_first_paragraph(tmp_path):
    write(
        tmp_path / "02_later.ipynb",
        "# Later\n\nWhat\nthen?\n\nYou learn. Some 5 minutes;\neasy.\n\nMore.",
    )
    write(tmp_path / "00_first.ipynb", "# First things\n\nWhy?")
    found = [(c.path.name, *c[1:]) for c in covers(tmp_path)]
    assert found == [
        ("00_first.ipynb", "First things", "Why?", ""),
        ("02_later.ipynb", "Later", "What then?", "5 minutes; easy."),
    ]


def test_some_are_chosen_by_how_their_names_begin(tmp_path):
    for name in ("00_a", "01_b", "02_c"):
        write(tmp_path / f"{name}.ipynb", "# Title\n\nWhy?")
    book = covers(tmp_path)
    assert [c.path.stem for c in chosen(book, ["02", "00_a.ipynb"])] == ["00_a", "02_c"]
    assert chosen(book) == book
    for word in ("03", ""):
        with pytest.raises(LabError, match=f"begins with '{word}': choose among 00, 01, 02"):
            chosen(book, [word])


def test_what_is_no_chapter_is_named(tmp_path):
    with pytest.raises(LabError, match="holds no notebooks"):
        covers(tmp_path)
    for source, kind in (("no title", "markdown"), ("# code", "code")):
        write(tmp_path / "00_x.ipynb", source, kind)
        with pytest.raises(LabError, match="00_x.ipynb: the first cell must be Markdown"):
            covers(tmp_path)
    (tmp_path / "00_torn.ipynb").write_text('{"cells": [')
    with pytest.raises(LabError, match="00_torn.ipynb cannot be read as a notebook"):
        covers(tmp_path)


def test_the_labs_notebooks_all_ask_a_question():
    for cover in covers(NOTEBOOKS):
        assert "?" in cover.paragraph, f"{cover.path.name} begins without a question"
