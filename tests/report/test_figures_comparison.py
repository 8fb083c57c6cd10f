"""Figures of methods show the numbers they were given."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.figures import ap_figure, race_figure, split_figure, styles


def metrics(seeds=1):
    rows = []
    for seed in range(seeds):
        for place, method in enumerate(["none", "KD", "CrossKD"]):
            for step in (100, 200):
                ap = 10.0 * place + step / 100 + seed
                row = {"method": method, "seed": seed, "step": step, "AP": ap}
                rows.append({**row, "l1_teacher": 1 / ap, "l1_truth": 2 / ap})
    return pd.DataFrame(rows)


def drawn(ax):
    """The curves of a panel: their data by colour."""
    return {
        mpl.colors.to_hex(line.get_color()): line.get_xydata().tolist()
        for line in ax.lines
        if len(line.get_xdata())
    }


def colour(method):
    return styles([method])[method].colour.lower()


def test_the_race_draws_each_method_in_its_three_panels():
    figure = race_figure(metrics())
    left, middle, right = (drawn(ax) for ax in figure.axes)
    assert left[colour("KD")] == [[100, 1 / 11], [200, 1 / 12]]
    assert middle[colour("CrossKD")] == [[100, 2 / 21], [200, 2 / 22]]
    assert right[colour("none")] == [[100, 1.0], [200, 2.0]]
    assert len(left) == len(middle) == len(right) == 3


def test_panels_have_titles_and_units_and_one_legend_outside():
    figure = race_figure(metrics(), teacher_ap=41.7)
    assert [ax.get_title(loc="left")[:3] for ax in figure.axes] == ["(a)", "(b)", "(c)"]
    assert all(ax.get_xlabel().startswith("training step") for ax in figure.axes)
    assert figure.axes[2].get_ylabel() == "AP (points, 0 to 100)"
    assert all(ax.get_legend() is None for ax in figure.axes)
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words == ["none", "KD", "CrossKD"]
    figure.canvas.draw()
    for ax in figure.axes:
        assert not legend.get_window_extent().overlaps(ax.get_window_extent())


def test_the_teacher_is_a_note_that_leaves_the_scale_to_the_students():
    with_teacher, without = race_figure(metrics(), teacher_ap=41.7), race_figure(metrics())
    said = [ax.get_xlabel() for ax in with_teacher.axes]
    assert said == ["training step"] * 2 + ["training step (the teacher has 41.7 AP)"]
    assert with_teacher.axes[2].get_ylim() == without.axes[2].get_ylim()


def test_several_seeds_become_a_mean_in_a_band_from_lowest_to_highest():
    figure = race_figure(metrics(seeds=3))
    panel = figure.axes[2]
    assert drawn(panel)[colour("none")] == [[100, 2.0], [200, 3.0]]
    # The seeds of "none" have 1, 2, 3 at step 100 and 2, 3, 4 at step 200.
    outline = panel.collections[0].get_paths()[0].vertices.tolist()
    assert {tuple(point) for point in outline} == {(100, 1), (100, 3), (200, 2), (200, 4)}
    assert "band: lowest to highest" in figure.get_suptitle()
    assert "band" not in race_figure(metrics()).get_suptitle()


def test_the_split_draws_the_whole_and_its_parts_on_one_scale():
    frame = metrics().assign(l1_truth_positive=0.5, l1_truth_background=lambda f: f["step"] / 100)
    figure = split_figure(frame)
    whole, own, background = (drawn(ax) for ax in figure.axes)
    assert whole[colour("KD")] == [[100, 2 / 11], [200, 2 / 12]]
    assert own[colour("KD")] == [[100, 0.5], [200, 0.5]]
    assert background[colour("CrossKD")] == [[100, 1.0], [200, 2.0]]
    assert len({ax.get_ylim() for ax in figure.axes}) == 1 and figure.axes[0].get_ylim()[0] == 0
    with pytest.raises(LabError, match="l1_truth_positive"):
        split_figure(metrics())


def test_rows_without_a_value_are_left_out_of_its_panel():
    frame = metrics()
    frame.loc[frame["step"] == 100, "l1_truth"] = None
    assert drawn(race_figure(frame).axes[1])[colour("KD")] == [[200, 2 / 12]]


def test_nothing_to_draw():
    empty = metrics().assign(AP=np.nan, l1_teacher=np.nan, l1_truth=np.nan)
    with pytest.raises(LabError, match="nothing has been evaluated"):
        race_figure(empty)
    with pytest.raises(LabError, match="has no l1_truth"):
        race_figure(metrics().drop(columns="l1_truth"))
    with pytest.raises(LabError, match="no finished run"):
        ap_figure(metrics().assign(status="failed"))


def test_final_ap_shows_mean_interval_and_seeds():
    last = metrics(seeds=3).query("step == 200")
    figure = ap_figure(last, teacher_ap=30.0)
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["none", "KD", "CrossKD"]
    (numbers,) = ax.child_axes
    # none has 2, 3, 4: mean 3, s = 1, half width 4.302653 / sqrt(3) = 2.484.
    assert numbers.get_yticklabels()[0].get_text() == "3.0 ± 2.5 (n = 3)"
    assert ax.containers[0].lines[0].get_xdata() == [3.0]
    (segment,) = ax.containers[0].lines[2][0].get_segments()
    assert segment[:, 0] == pytest.approx([3 - 2.4841, 3 + 2.4841], abs=1e-4)
    dots = [dots.get_offsets()[:, 0].tolist() for dots in ax.collections if len(dots.get_offsets())]
    assert [2.0, 3.0, 4.0] in dots
    assert "95 % interval" in ax.get_xlabel()


def test_one_seed_has_no_interval_and_says_so():
    figure = ap_figure(metrics().query("step == 200"))
    ax = figure.axes[0]
    assert ax.child_axes[0].get_yticklabels()[2].get_text() == "22.0 (one seed)"
    assert "interval" not in ax.get_xlabel()


def test_sources_are_drawn_apart_and_labelled():
    own = metrics().query("step == 200").assign(source="yours")
    paper = pd.DataFrame({"source": ["paper"], "method": ["CrossKD"], "AP": [43.7]})
    ax = ap_figure(pd.concat([own, paper])).axes[0]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[2:] == ["CrossKD (yours)", "CrossKD (paper)"]
    assert ax.child_axes[0].get_yticklabels()[3].get_text() == "43.7"
    assert "source: paper" in ap_figure(paper).axes[0].get_xlabel()
