"""Fig. 2 and 3 show the numbers they were given and circle the conflicts there are."""

import numpy as np
import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.map_figures import conflict_figure, largest_conflicts, target_maps_figure


def frame(teacher="A", factor=1.0):
    rows = []
    for by, groups in {"all": ["all"], "size": ["small", "large"], "level": ["stride 8"]}.items():
        for k, group in enumerate(groups, 1):
            for threshold in (0.0, 0.1, 0.5, 0.9, 1.0):
                ratio = factor * k * (1 - threshold) if group != "large" else np.nan
                rows.append((teacher, by, group, threshold, ratio))
    return pd.DataFrame(rows, columns=["teacher", "by", "group", "threshold", "ratio"])


def curves(ax):
    return [line.get_xydata().round(6).tolist() for line in ax.lines if len(line.get_xdata())]


def test_the_ratio_is_drawn_over_the_threshold_in_its_span():
    whole, sizes = conflict_figure(frame(), ["all", "size"]).axes
    assert curves(whole) == [[[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]]]
    assert curves(sizes) == curves(whole)  # "large" has no positives and no curve
    assert whole.get_title(loc="left") == "overall"
    assert whole.get_ylim()[0] == 0


def test_several_teachers_are_lines_of_one_panel():
    both = pd.concat([frame("A"), frame("B", 2.0)])
    (ax,) = conflict_figure(both, ["all"]).axes
    assert sorted(curve[0][1] for curve in curves(ax)) == [0.9, 1.8]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["A", "B"]


def test_nothing_to_draw():
    with pytest.raises(LabError, match="no positive location"):
        conflict_figure(frame().assign(ratio=np.nan))
    with pytest.raises(LabError, match="has no ratio"):
        conflict_figure(frame().drop(columns="ratio"))


def test_the_largest_conflicts_are_found_largest_first_and_apart():
    truth, teacher = np.zeros((70, 70)), np.zeros((70, 70))
    truth[10:20, 10:20] = 0.9  # a patch of 10 x 10: its middle is (14.5, 14.5)
    teacher[50:54, 40:44] = 0.6
    teacher[50:54, 44:48] = 0.5  # beside the one before: the same conflict
    teacher[30, 60] = 0.2  # too small
    found = largest_conflicts(truth, teacher, count=5)
    assert len(found) == 2
    assert found[0] == (14, 14)
    assert abs(found[1][0] - 41.5) <= 0.5
    assert abs(found[1][1] - 51.5) <= 0.5
    assert largest_conflicts(truth, teacher, count=1) == found[:1]


def test_the_inputs_are_left_as_they_are_and_agreement_has_no_conflict():
    truth = np.full((8, 8), 0.5)
    assert largest_conflicts(truth, truth) == []
    assert (truth == 0.5).all()


def test_maps_stand_side_by_side_with_the_circles_in_all():
    image = np.zeros((40, 60, 3), np.uint8)
    truth, teacher, student = (np.zeros((40, 60)) for _ in range(3))
    truth[5, 5], teacher[30, 50] = 1.0, 0.8
    maps = {"ground truth": truth, "teacher": teacher, "CrossKD": student}
    figure = target_maps_figure(image, maps, [[0, 0, 10, 10]])
    *panels, _ = figure.axes
    titles = [ax.get_title(loc="left") for ax in panels]
    assert titles == ["image and boxes", "ground truth", "teacher", "CrossKD"]
    for ax in panels:
        circles = [patch for patch in ax.patches if hasattr(patch, "radius")]
        assert [circle.center for circle in circles] == [(5, 5), (50, 30)]
    assert all(ax.images[0].get_clim() == (0, 1) for ax in panels[1:])
    with pytest.raises(LabError, match="two sides"):
        target_maps_figure(image, {"ground truth": truth})
