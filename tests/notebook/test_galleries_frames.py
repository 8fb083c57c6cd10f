"""The picture follows the control at once, and a page without widgets shows all pictures."""

from __future__ import annotations

import base64
import io
import time

import pytest
from PIL import Image

from crosskd_lab.errors import LabError

pytest.importorskip("ipywidgets", reason="ipywidgets is not installed")
from crosskd_lab.notebook.galleries import Frames


def png(colour: str, size: tuple[int, int] = (4, 2)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


RED, LIME, BLUE = png("#ff0000"), png("#00ff00"), png("#0000ff", (6, 3))


def test_the_picture_follows_the_slider_within_100_ms():
    frames = Frames({0: RED, 1: LIME, 2: BLUE}, "layer i", start=1)
    assert frames.image.value == LIME
    began = time.perf_counter()
    frames.control.value = 2
    assert frames.image.value == BLUE
    assert time.perf_counter() - began < 0.1
    assert (frames.control.min, frames.control.max) == (0, 2)


def test_names_are_chosen_from_a_list():
    frames = Frames({"alone": RED, "CrossKD": BLUE}, "student")
    assert frames.control.options == (("alone", "alone"), ("CrossKD", "CrossKD"))
    frames.control.value = "CrossKD"
    assert frames.image.value == BLUE


def test_numbers_with_gaps_get_a_slider_with_stops():
    frames = Frames({0.1: RED, 0.5: LIME, 300: BLUE}, "step", start=0.5)
    assert type(frames.control).__name__ == "SelectionSlider"
    assert frames.control.index == 1
    frames.control.index = 2
    assert frames.control.value == 300 and frames.image.value == BLUE


def test_numbers_out_of_order_get_a_list():
    frames = Frames({300: RED, 0.5: BLUE}, "step")
    assert type(frames.control).__name__ == "Dropdown"
    frames.control.value = 0.5
    assert frames.image.value == BLUE


def test_the_sheet_holds_every_picture_in_order():
    frames = Frames({0: RED, 1: LIME, 2: BLUE}, "i", columns=2)
    sheet = Image.open(io.BytesIO(frames.sheet()))
    assert sheet.size == (4 + 12 + 4, 2 + 12 + 3)
    assert sheet.getpixel((0, 0)) == (255, 0, 0)
    assert sheet.getpixel((16, 0)) == (0, 255, 0)
    assert sheet.getpixel((0, 14)) == (0, 0, 255)
    assert sheet.getpixel((8, 0)) == (255, 255, 255)


def test_a_notebook_gets_the_widget_and_the_sheet():
    frames = Frames({0: RED, 1: LIME}, "i")
    bundle = frames._repr_mimebundle_()
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == frames.widget.model_id
    assert base64.b64decode(bundle["image/png"]) == frames.sheet()


def test_nothing_to_show_is_an_error():
    with pytest.raises(LabError, match="at least one picture"):
        Frames({}, "layer i")


def test_a_start_that_is_no_picture_is_an_error():
    with pytest.raises(LabError, match="no 7 among 0, 1"):
        Frames({0: RED, 1: LIME}, "layer i", start=7)
