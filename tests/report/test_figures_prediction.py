"""The scatter shows the pairs that it was given, with their intervals."""

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.figures import prediction_figure

POINTS = pd.DataFrame(
    [("gfl from atss", 0.4, 3, 1.5, 0.5), ("gfl from gfl", 0.2, 1, -1.0, float("nan"))],
    columns=["pair", "ratio", "n", "gain", "half_width"],
)


def test_a_labelled_point_a_pair():
    (ax,) = prediction_figure(POINTS).axes
    labels = {text.get_text(): text.xy for text in ax.texts}
    assert labels == {"gfl from atss, 3 seeds": (0.4, 1.5), "gfl from gfl, 1 seed": (0.2, -1.0)}
    assert [text.get_ha() for text in ax.texts] == ["right", "left"], "labels stay inside"
    seeds, single = ax.containers
    (bar,) = seeds.lines[2][0].get_segments()
    assert bar.tolist() == [[0.4, 1.0], [0.4, 2.0]]
    assert not single.lines[2], "one seed has no interval"
    assert single.lines[0].get_markerfacecolor() == "white"


def test_nothing_to_draw_is_said():
    with pytest.raises(LabError, match="nothing to draw"):
        prediction_figure(POINTS[:0])
    with pytest.raises(LabError, match="no gain"):
        prediction_figure(POINTS.drop(columns="gain"))
