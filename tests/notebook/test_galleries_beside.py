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
NOTES = {name: f"<p>{name}</p>" for name in COLOURS}


@pytest.fixture
def beside():
    return Beside(PICTURES, NOTES, ("image", "method"), ("b", "a"))


def test_menus_change_their_own_column_and_the_slider_both(beside):
    left, right = beside.images
    assert (left.value, right.value) == (PICTURES[0, "b"], PICTURES[0, "a"])
    beside.menus[1].value = "c"
    assert (left.value, right.value) == (PICTURES[0, "b"], PICTURES[0, "c"])
    assert [text.value for text in beside.texts] == ["<p>b</p>", "<p>c</p>"]
    beside.common.value = 1
    assert (left.value, right.value) == (PICTURES[1, "b"], PICTURES[1, "c"])


def test_the_sheet_has_the_chosen_two_on_top(beside):
    sheet = Image.open(io.BytesIO(beside.sheet()))
    assert sheet.size == (40 + 12 + 40, 30 + 12 + 30)
    at = [sheet.getpixel(place) for place in ((5, 5), (60, 5), (5, 60))]
    assert at == [(0, 255, 0), (255, 0, 0), (0, 0, 255)]


def test_a_notebook_gets_widget_and_picture(beside):
    bundle = beside._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= set(bundle)


@pytest.mark.parametrize(
    ("pictures", "notes", "start"),
    [
        ({k: v for k, v in PICTURES.items() if k != (1, "c")}, NOTES, ("a", "b")),
        (PICTURES, NOTES, ("a", "d")),
        (PICTURES, {"a": ""}, ("a", "b")),
    ],
)
def test_what_is_lacking_is_named(pictures, notes, start):
    with pytest.raises(LabError, match="method side by side: no picture or note for"):
        Beside(pictures, notes, ("image", "method"), start)
