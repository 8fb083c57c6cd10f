"""Differences and costs are drawn where they are, and what is missing says so."""

import itertools

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.claims import FAILED, HELD, OPEN
from crosskd_lab.report.figures import DPI, WIDTH, differences_figure, render, time_figure

COMPARED = pd.DataFrame(
    [
        ("a above b", 3, 2.0, 0.5, HELD),
        ("c above d", 3, -2.0, 0.5, FAILED),
        ("e above f", 1, 4.0, float("nan"), OPEN),
        ("g above h", 0, float("nan"), float("nan"), OPEN),
    ],
    columns=["comparison", "n", "difference", "half_width", "verdict"],
)
RUNS = pd.DataFrame(
    [
        ("none", "none", "done", 10.0, 240, 0.125),
        ("none", "none", "done", 12.0, 240, 0.375),
        ("crosskd_3", "CrossKD", "done", 20.0, 240, 0.5),
        ("kd", "kd", "missing", None, None, None),
    ],
    columns=["row", "method", "status", "AP", "steps", "step_seconds"],
)


def test_differences_stand_beside_zero():
    figure = differences_figure(COMPARED)
    (ax,) = figure.axes
    bars = [c for c in ax.containers if len(c.lines[0].get_xdata())]
    assert [c.lines[0].get_xdata()[0] for c in bars] == [2.0, -2.0, 4.0]
    assert [c.has_xerr for c in bars] == [True, True, False]
    said = [label.get_text() for label in ax.get_yticklabels()]
    assert said[0] == "a above b\n+2.0 ± <0.6 (n = 3)" and said[1].endswith("-2.0 ± <0.6 (n = 3)")
    assert said[2].endswith("+4.0 (one seed)") and said[3].endswith("(not recorded)")
    assert render(figure, "png")[:4] == b"\x89PNG" and figure.get_size_inches()[0] == WIDTH
    assert DPI == 100


def test_time_is_drawn_for_what_is_done():
    (ax,) = time_figure(RUNS).axes
    assert [text.get_text() for text in ax.texts] == ["none", "crosskd_3"]
    points = [c.lines[0].get_xydata()[0].tolist() for c in ax.containers]
    assert points == [[60.0, 11.0], [120.0, 20.0]]


def test_names_of_near_points_do_not_lie_on_each_other():
    near = [(f"crosskd_{i}", "CrossKD", "done", 19 + i / 50, 240, 0.4 + i / 200) for i in range(4)]
    rows = [*near, ("none", "none", "done", 12.0, 240, 0.2)]
    figure = time_figure(pd.DataFrame(rows, columns=RUNS.columns))
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 5
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_a_legend_of_many_methods_stays_in_the_picture():
    rows = [(f"row{i}", f"Method{i}", "done", 10.0 + i, 240, 0.1 + i / 20) for i in range(13)]
    figure = time_figure(pd.DataFrame(rows, columns=RUNS.columns))
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width


def test_nothing_to_draw_is_said():
    with pytest.raises(LabError, match="no comparison"):
        differences_figure(COMPARED.iloc[:0])
    with pytest.raises(LabError, match="no recorded run is done"):
        time_figure(RUNS[RUNS["status"] == "missing"])
