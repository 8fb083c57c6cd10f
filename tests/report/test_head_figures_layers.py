"""What a layer's picture shows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.head_figures import layer_figure

REACH = pd.DataFrame({"part": ["neck", "cls 1", "predictors"], "norm": [4.0, 2.0, 0.0]})
IMAGE, BOXES = np.zeros((8, 8, 3), np.uint8), np.array([[1, 1, 4, 4]], np.float32)


def test_a_part_that_is_not_reached_says_so():
    maps = {"teacher": np.full((8, 8), 0.5, np.float32), "cross-head": np.zeros((8, 8), np.float32)}
    figure = layer_figure(IMAGE, BOXES, maps, REACH, title="i = 1")
    *pictures, bars = figure.get_axes()
    assert [ax.get_title("left") for ax in pictures] == ["image and boxes", "teacher", "cross-head"]
    assert [ax.images[0].get_clim() for ax in pictures[1:]] == [(0, 1), (0, 1)]
    assert [bar.get_height() for bar in bars.patches] == [1, 0.5, 0]
    assert [text.get_text() for text in bars.texts] == ["4", "2", "not\nreached"]
    assert figure.get_suptitle() == "i = 1"


def test_a_missing_column_is_named():
    with pytest.raises(LabError, match="norm"):
        layer_figure(IMAGE, BOXES, {}, REACH[["part"]])
