"""Galleries: what the page holds, what the sheet holds; a browser test plays them."""

from __future__ import annotations

import base64
import html
import io
import json
import re

import pytest
from PIL import Image

from crosskd_lab.errors import LabError
from crosskd_lab.notebook.galleries import Frames, Gallery


def png(colour, size: tuple[int, int] = (4, 2)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


RED, LIME, BLUE = png("#ff0000"), png("#00ff00"), png("#0000ff", (6, 3))
GRID = {(s, t): png((40 * k, 90 * j, 0)) for k, s in enumerate("abc") for j, t in enumerate((1, 5))}


def spec(gallery):
    return json.loads(html.unescape(re.search(r'data-spec="(.*?)"', gallery.html())[1]))


def frames(gallery):
    """Key and picture of each frame of a page."""
    found = re.findall(r'data-key="(.*?)".*?base64,(.*?)"', gallery.html())
    return {key: Image.open(io.BytesIO(base64.b64decode(data))) for key, data in found}


def test_the_page_has_every_picture_once_by_its_controls_places():
    menus = Gallery(GRID, ("student", "<level>"), [("b", 5)])
    assert spec(menus) == {
        "labels": ["student", "<level>"],
        "values": [["a", "b", "c"], ["1", "5"]],
        "starts": [[1, 1]],
    }
    shown = frames(menus)
    assert list(shown) == ["0,0", "0,1", "1,0", "1,1", "2,0", "2,1"]
    red, green, blue = shown["2,1"].convert("RGB").getpixel((1, 1))
    assert abs(red - 80) < 12 and abs(green - 90) < 12 and blue < 12, "webp, not to the bit"
    assert 'alt="student: b, &lt;level&gt;: 5"' in menus.html()
    assert not re.search(r'(src|href)="(https?:)?//', menus.html()), "nothing is fetched"


def test_a_notebook_gets_the_page_and_for_others_a_png():
    gallery = Frames({0: RED, 1: LIME}, "layer i")
    bundle = gallery._repr_mimebundle_()
    assert bundle["text/html"] == gallery.html()
    assert base64.b64decode(bundle["image/png"]) == gallery.sheet()
    assert bundle["text/plain"] == "2 pictures by layer i"


def test_the_sheet_holds_every_place_of_the_last_control_in_order():
    sheet = Image.open(io.BytesIO(Frames({0: RED, 1: LIME, 2: BLUE}, "i").sheet()))
    assert sheet.size == (6, 2 + 12 + 2 + 12 + 3)
    colours = [sheet.getpixel(at) for at in ((0, 0), (0, 14), (0, 28), (0, 8))]
    assert colours == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    menus = Image.open(io.BytesIO(Gallery(GRID, ("student", "level"), [("b", 5)]).sheet()))
    assert menus.size == (4, 2 + 12 + 2)
    assert (menus.getpixel((0, 0)), menus.getpixel((0, 15))) == ((40, 0, 0), (40, 90, 0))


def test_columns_stand_side_by_side_with_the_others_of_their_row_below():
    colours = {"a": "red", "b": "lime", "c": "blue"}
    rows = {(r, n): png(c, (40, 30 + r)) for r in (0, 1) for n, c in colours.items()}
    beside = Gallery(rows, ("image", "method"), [(0, "b"), (0, "a")])
    assert spec(beside)["starts"] == [[0, 1], [0, 0]]
    sheet = Image.open(io.BytesIO(beside.sheet()))
    assert sheet.size == (40 + 12 + 40, 30 + 12 + 30)
    at = [sheet.getpixel(place) for place in ((5, 5), (60, 5), (5, 60))]
    assert at == [(0, 255, 0), (255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Frames({}, "layer i"), "pictures by layer i: there is none for"),
        (lambda: Frames({0: RED, 1: LIME}, "layer i", start=7), r"none for \[\(7,\)\]"),
        (lambda: Gallery(dict([*GRID.items()][:-1]), "st", [("a", 1)]), r"none for \[\('c', 5"),
        (lambda: Gallery(GRID, ("student",), [("a", 1)]), "pictures by student: there is none for"),
    ],
)
def test_what_is_lacking_is_named(make, told):
    with pytest.raises(LabError, match=told):
        make()
