"""Two of a list side by side: menus swap bytes, a sheet shows all."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from crosskd_lab.errors import LabError
from crosskd_lab.notebook.galleries import Beside


def png(colour, size=(40, 30)):
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


COLOURS = {"a": "red", "b": "lime", "c": "blue"}
PICTURES = {
    (row, name): png(colour, (40, 30 + row)) for row in (0, 1) for name, colour in COLOURS.items()
}


@pytest.fixture
def beside():
    return Beside(PICTURES, ("image", "method"), [(0, "b"), (0, "a")])


def test_a_menu_changes_its_own_column_and_the_slider_both(beside):
    left, right = beside.columns
    assert (left.image.value, right.image.value) == (PICTURES[0, "b"], PICTURES[0, "a"])
    right.controls[1].value = "c"
    assert (left.image.value, right.image.value) == (PICTURES[0, "b"], PICTURES[0, "c"])
    for column, row in ((left, 1), (right, 0)):
        column.controls[0].value = row
        assert (left.image.value, right.image.value) == (PICTURES[row, "b"], PICTURES[row, "c"])


def test_the_sheet_has_the_chosen_two_on_top(beside):
    sheet = Image.open(io.BytesIO(beside.sheet()))
    assert sheet.size == (40 + 12 + 40, 30 + 12 + 30)
    at = [sheet.getpixel(place) for place in ((5, 5), (60, 5), (5, 60))]
    assert at == [(0, 255, 0), (255, 0, 0), (0, 0, 255)]


def test_a_notebook_gets_widget_and_picture(beside):
    bundle = beside._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= set(bundle)


def test_a_picture_that_is_lacking_is_named():
    lacking = {key: png for key, png in PICTURES.items() if key != (1, "c")}
    for pictures, start in ((lacking, (0, "a")), (PICTURES, (0, "d"))):
        with pytest.raises(LabError, match="there is no picture for"):
            Beside(pictures, ("image", "method"), [start])
