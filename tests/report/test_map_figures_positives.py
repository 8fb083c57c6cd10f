"""Every positive location is drawn once, in its place, and counted."""

import numpy as np
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.map_figures import Marks, positives_figure

NONE = np.empty((0, 2))
IMAGE = np.zeros((64, 96, 3), np.uint8)
FINE = Marks(8, np.array([[8.0, 16], [16, 16]]), np.array([[24.0, 16]]), NONE)
COARSE = Marks(16, NONE, NONE, np.array([[40.0, 40], [56, 40], [72, 40]]))
EMPTY = Marks(32, NONE, NONE, NONE)


def points(ax):
    return [
        sorted(map(tuple, line.get_xydata().tolist())) for line in ax.lines if len(line.get_xdata())
    ]


def test_all_levels_then_each_that_has_any():
    figure = positives_figure(IMAGE, [[4, 4, 40, 40]], [FINE, COARSE, EMPTY], "GFL", "FCOS")
    drawn = [ax for ax in figure.axes if ax.images]
    titles = [ax.get_title(loc="left") for ax in drawn]
    assert titles == [
        "all levels\n2 both\nalone: 1 student, 3 teacher",
        "stride 8\n2 both\nalone: 1 student, 0 teacher",
        "stride 16\n0 both\nalone: 0 student, 3 teacher",
    ]
    assert points(drawn[1]) == [[(8.0, 16.0), (16.0, 16.0)], [(24.0, 16.0)]]
    assert points(drawn[2]) == [[(40.0, 40.0), (56.0, 40.0), (72.0, 40.0)]]
    assert len(points(drawn[0])) == 3
    assert "GFL student, FCOS teacher" in figure.get_suptitle()


def test_nothing_positive_is_said_and_no_level_refused():
    figure = positives_figure(IMAGE, [], [EMPTY], "GFL", "FCOS")
    assert figure.axes[0].get_title(loc="left").startswith("all levels\n0 both")
    with pytest.raises(LabError, match="no level to draw"):
        positives_figure(IMAGE, [], [], "GFL", "FCOS")
