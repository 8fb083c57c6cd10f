"""The check-up table, the map and the contact sheet say what is there."""

from __future__ import annotations

import io
import re

import nbformat
import numpy as np
from PIL import Image

from crosskd_lab.data.samples import draw_samples
from crosskd_lab.engine.doctor import Finding
from crosskd_lab.notebook.welcome import check_up, lab_map, samples


def test_the_check_up_says_what_to_do_only_where_something_fails():
    findings = [
        Finding("torch", True, "2.13", "install torch"),
        Finding("disk", False, "1 GB free", "free some space"),
    ]
    page = check_up(findings).to_html()
    text = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", page.partition("</style>")[2]))
    assert "OK torch 2.13 FAIL disk 1 GB free free some space" in text
    assert "install torch" not in text


def test_the_map_links_every_notebook_and_tells_its_question(tmp_path):
    for name, source in {"01_b": "# B\n\nWhy b?\n\nMore.", "00_a": "# A\n\nWhy\na?"}.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source)])
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    assert lab_map(tmp_path).data == "- [A](00_a.ipynb): Why a?\n- [B](01_b.ipynb): Why b?"


def test_samples_are_the_contact_sheet(tiny_scenes):
    shown = samples(tiny_scenes, "val", count=3, seed=1)
    pixels = np.asarray(Image.open(io.BytesIO(shown.data)))
    assert np.array_equal(pixels, draw_samples(tiny_scenes, "val", 3, 1))
