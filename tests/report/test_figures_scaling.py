"""The picture of a plan shows the plan's numbers."""

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.figures import scaling_figure

PLAN = pd.DataFrame(
    [(1, 1, 80.0, 1.0), (8, 1, 12.0, 0.8), (16, 2, 10.0, 0.5)],
    columns=["gpus", "machines", "hours", "efficiency"],
)


def test_it_draws_hours_and_efficiency():
    left, right = scaling_figure(PLAN).axes
    line, one, several, ideal = left.lines
    assert line.get_ydata().tolist() == [80, 12, 10]
    assert one.get_ydata().tolist() == [80, 12] and several.get_ydata().tolist() == [10]
    assert ideal.get_ydata().tolist() == pytest.approx([80, 9.6, 5]), "hours times efficiency"
    assert right.lines[0].get_ydata().tolist() == [100, 80, 50]
    assert [text.get_text() for text in left.get_xticklabels()] == ["1", "8", "16"]


def test_nothing_to_draw_is_said():
    with pytest.raises(LabError, match="nothing to draw"):
        scaling_figure(PLAN[:0])
    with pytest.raises(LabError, match="hours"):
        scaling_figure(PLAN.drop(columns="hours"))
