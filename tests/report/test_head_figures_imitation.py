"""The four panels of a method."""

import numpy as np
import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.head_figures import method_figure

COSTS = pd.DataFrame(
    {"method": ["kd", "fgd"], "device": "cpu", "own_ms": [10.0, 22.4], "own_mb": [7.0, 6.6]}
)
IMAGE = np.zeros((40, 40, 3), np.uint8)


def panels(figure):
    return [ax for part in figure.subfigs for ax in part.axes]


def test_maps_boxes_and_this_method_s_cost():
    weights = np.zeros((40, 40))
    weights[:20], weights[20:, 20:] = 4.0, 1.0
    figure = method_figure(
        "fgd", IMAGE, [[2, 3, 10, 12]], {"S": weights, "g": IMAGE[..., 0]}, COSTS
    )
    image, bars, left, right = panels(figure)
    drawn = np.asarray(left.images[0].get_array())
    assert drawn[0, 0] == 1.0 and drawn[30, 30] == 0.5 and drawn[30, 0] == 0.0
    assert [text.get_text() for text in right.texts] == ["nothing"] and not left.texts
    assert all(len(ax.patches) == 1 for ax in (image, left, right))
    assert [bar.get_width() for bar in bars.patches] == [10.0, 22.4]
    assert [text.get_text().strip() for text in bars.texts] == ["22 ms, 7 MB"]
    assert bars.patches[0].get_facecolor() != bars.patches[1].get_facecolor()
    assert (figure.get_size_inches() * figure.dpi)[0] == 640


def test_without_measured_costs():
    figure = method_figure("kd", IMAGE, [], {"S": IMAGE[..., 0], "g": IMAGE[..., 0]}, COSTS[:0])
    assert panels(figure)[1].texts[0].get_text() == "not measured yet"


def test_costs_of_another_kind():
    with pytest.raises(LabError, match="own_mb"):
        method_figure("kd", IMAGE, [], {}, COSTS.drop(columns="own_mb"))
