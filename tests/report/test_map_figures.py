"""Maps over images, ratios and concentrations show the numbers they were given."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from crosskd_lab.errors import LabError
from crosskd_lab.report.map_figures import (
    concentration_figure,
    conflict_figure,
    draw_boxes,
    draw_map,
    largest_conflicts,
    maps_figure,
    roots,
)


@pytest.fixture
def ax():
    return Figure().subplots()


def test_a_map_starts_at_zero_and_ends_at_its_maximum_or_the_one_given(ax):
    values = np.array([[0.1, 0.4]])
    assert draw_map(ax, values, "a").get_clim() == (0, 0.4)
    assert draw_map(ax, values, "b", top=1.0).get_clim() == (0, 1.0)
    assert draw_map(ax, 0 * values, "c").get_clim() == (0, 1.0)
    assert ax.get_title(loc="left") == "c"
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0


def test_boxes_lie_on_pixels(ax):
    draw_boxes(ax, [[2, 3, 10, 7]])
    (box,) = ax.patches
    # Pixel k is drawn from k - 0.5 to k + 0.5, its left edge at coordinate k of the image.
    assert box.get_bbox().extents.tolist() == [1.5, 2.5, 9.5, 6.5]
    draw_boxes(ax, np.zeros((0, 4)))
    assert len(ax.patches) == 1


def test_maps_in_a_row_share_one_scale_and_conflicts_are_circled_in_all():
    truth, teacher, student = np.zeros((3, 40, 60))
    truth[5, 5], teacher[30, 50], student[0, 0] = 1.0, 0.8, 2.0
    maps = {"ground truth": truth, "teacher": teacher, "CrossKD": student}
    image = np.zeros((40, 60, 3), np.uint8)
    *panels, bar = maps_figure(image, [[1, 1, 4, 4]], maps, "t", circled=3).axes
    titles = [ax.get_title("left") for ax in panels]
    assert titles == ["image and boxes", "ground truth", "teacher", "CrossKD"]
    assert {ax.images[0].get_clim() for ax in panels[1:]} == {(0, 2)} and bar.get_ylim() == (0, 2)
    for ax in panels:
        box, *circles = ax.patches
        assert box.get_width() == 3
        assert [circle.center for circle in circles] == [(5, 5), (50, 30)]
    fixed = maps_figure(image, [], {"a": truth}, "t", top=3.0)
    assert fixed.axes[1].images[0].get_clim() == (0, 3) and not fixed.axes[0].patches


def test_roots_of_shares():
    values = np.array([[0.0, 1.0], [4.0, 16.0]])
    found = roots({"detection": values, "PKD": 0 * values})
    assert found["detection"].tolist() == [[0, 0.25], [0.5, 1]] and not found["PKD"].any()


def ratios(teacher="A", factor=1.0):
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
    whole, sizes = conflict_figure(ratios(), ["all", "size"]).axes
    assert curves(whole) == [[[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]]]
    assert curves(sizes) == curves(whole)  # "large" has no positives and no curve
    assert whole.get_title(loc="left") == "overall" and whole.get_legend() is None
    assert whole.get_ylim()[0] == 0


def test_several_teachers_are_lines_of_one_panel():
    both = pd.concat([ratios("A"), ratios("B", 2.0)])
    (ax,) = conflict_figure(both, ["all"]).axes
    assert sorted(curve[0][1] for curve in curves(ax)) == [0.9, 1.8]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["A", "B"]
    assert len(curves(conflict_figure(both, ["size"]).axes[0])) == 2


def test_no_ratio_to_draw():
    with pytest.raises(LabError, match="no positive location"):
        conflict_figure(ratios().assign(ratio=np.nan))


def test_the_largest_conflicts_are_found_largest_first_and_apart():
    truth, teacher = np.zeros((70, 70)), np.zeros((70, 70))
    truth[10:20, 10:20] = 0.9  # a patch of 10 x 10: its middle is (14.5, 14.5)
    teacher[50:54, 40:44] = 0.6
    teacher[50:54, 44:48] = 0.5  # beside the one before: the same conflict
    teacher[30, 60] = 0.2  # too small
    before = truth.copy()
    found = largest_conflicts(truth, teacher, count=5)
    assert len(found) == 2 and (truth == before).all()
    assert found[0] == (14, 14)
    assert abs(found[1][0] - 41.5) <= 0.5
    assert abs(found[1][1] - 51.5) <= 0.5
    assert largest_conflicts(truth, teacher, count=1) == found[:1]
    assert largest_conflicts(truth, truth) == []


def measured():
    rows = []
    for image in range(3):
        for where, i in (("neck", 0), ("cls", 3)):
            for k, loss in enumerate(["detection", "CrossKD"]):
                row = dict(image=image, where=where, i=i, loss=loss, area=0.25)
                rows.append({**row, "inside": 0.1 * (image + 1), "gini": 0.5, "cosine": 1 - k})
    return pd.DataFrame(rows)


def test_means_and_intervals_over_images():
    figure = concentration_figure(measured())
    inside, gini, cosine = figure.axes
    bars = inside.containers[0]
    # 0.1, 0.2, 0.3: mean 0.2, s = 0.1, half width 4.302653 * 0.1 / sqrt(3) = 0.24841.
    assert bars.lines[0].get_xdata().tolist() == pytest.approx([0.2, 0.2])
    (half, *_) = bars.lines[2][0].get_segments()
    assert half[:, 0] == pytest.approx([0.2 - 0.24841, 0.2 + 0.24841], abs=1e-5)
    assert gini.containers[0].lines[0].get_xdata().tolist() == [0.5, 0.5]
    assert cosine.containers[1].lines[0].get_xdata().tolist() == [0, 0]
    labels = [label.get_text() for label in inside.get_yticklabels()]
    assert labels == ["neck, $f_0$", "cls tower, $f_3$"]
    assert inside.lines[-1].get_xdata() == [0.25, 0.25]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["detection", "CrossKD"]
    assert "over 3 images" in figure.get_suptitle()


def test_a_loss_that_does_not_reach_a_feature_is_left_out_there():
    part = measured()
    part.loc[(part["loss"] == "CrossKD") & (part["where"] == "cls"), ["gini", "inside"]] = np.nan
    gini = concentration_figure(part).axes[1]
    assert [len(bars.lines[0].get_xdata()) for bars in gini.containers] == [2, 1]
    with pytest.raises(LabError, match="has no cosine"):
        concentration_figure(part.drop(columns="cosine"))
