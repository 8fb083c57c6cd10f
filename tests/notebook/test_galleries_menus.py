"""The picture follows every control at once; a page without widgets shows one row of choices."""

from __future__ import annotations

import base64
import io
import time

import pytest
from PIL import Image

from crosskd_lab.errors import LabError

pytest.importorskip("ipywidgets", reason="ipywidgets is not installed")
from crosskd_lab.notebook.galleries import Menus


def png(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 2), colour).save(out, "PNG")
    return out.getvalue()


PICTURES = {
    (s, t): png((40 * k, 90 * j, 0)) for k, s in enumerate("abc") for j, t in enumerate("xy")
}


def test_the_picture_follows_both_menus_within_100_ms():
    menus = Menus(PICTURES, ("student", "teacher"), ("b", "y"))
    assert menus.image.value == PICTURES["b", "y"]
    began = time.perf_counter()
    menus.controls[0].value = "c"
    menus.controls[1].value = "x"
    assert time.perf_counter() - began < 0.1
    assert menus.choice == ("c", "x")
    assert menus.image.value == PICTURES["c", "x"]
    assert [control.description for control in menus.controls] == ["student", "teacher"]


def test_the_sheet_holds_the_choice_and_where_the_last_menu_leads():
    menus = Menus(PICTURES, ("student", "teacher"), ("b", "x"))
    sheet = Image.open(io.BytesIO(menus.sheet()))
    assert sheet.size == (4, 2 + 12 + 2)
    assert (sheet.getpixel((0, 0)), sheet.getpixel((0, 15))) == ((40, 0, 0), (40, 90, 0))
    bundle = menus._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == menus.widget.model_id
    assert base64.b64decode(bundle["image/png"]) == menus.sheet()


def test_every_combination_needs_its_picture():
    holes = {key: PICTURES[key] for key in list(PICTURES)[:-1]}
    with pytest.raises(LabError, match=r"no picture for \[\('c', 'y'\)\]"):
        Menus(holes, ("student", "teacher"), ("a", "x"))
    with pytest.raises(LabError, match=r"no picture for \[\('d', 'x'\)\]"):
        Menus(PICTURES, ("student", "teacher"), ("d", "x"))
    with pytest.raises(LabError, match="menus for student"):
        Menus(PICTURES, ("student",), ("a", "x"))
