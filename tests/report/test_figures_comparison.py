"""Figures of methods show the numbers they were given."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.figures import race_figure, styles


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
