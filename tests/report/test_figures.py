"""Figures show the numbers they were given, say what is missing, and are written whole."""

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.claims import FAILED, HELD, OPEN
from crosskd_lab.report.figures import (
    differences_figure,
    race_figure,
    save,
    styles,
    watch_figure,
)


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


def test_one_legend_outside_and_the_teacher_a_note_that_leaves_the_scale_to_the_students():
    figure, without = race_figure(metrics(), teacher_ap=41.7), race_figure(metrics())
    assert [ax.get_title(loc="left")[:3] for ax in figure.axes] == ["(a)", "(b)", "(c)"]
    assert figure.axes[2].get_ylabel() == "AP (points, 0 to 100)"
    said = [ax.get_xlabel() for ax in figure.axes]
    assert said == ["training step"] * 2 + ["training step (the teacher has 41.7 AP)"]
    assert figure.axes[2].get_ylim() == without.axes[2].get_ylim()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["none", "KD", "CrossKD"]
    figure.canvas.draw()
    for ax in figure.axes:
        assert not legend.get_window_extent().overlaps(ax.get_window_extent())
        assert ax.get_legend() is None


def test_several_seeds_become_a_mean_in_a_band_from_lowest_to_highest():
    figure = race_figure(metrics(seeds=3))
    panel = figure.axes[2]
    assert drawn(panel)[colour("none")] == [[100, 2.0], [200, 3.0]]
    # The seeds of "none" have 1, 2, 3 at step 100 and 2, 3, 4 at step 200.
    outline = panel.collections[0].get_paths()[0].vertices.tolist()
    assert {tuple(point) for point in outline} == {(100, 1), (100, 3), (200, 2), (200, 4)}
    assert "band: lowest to highest" in figure.get_suptitle()
    assert "band" not in race_figure(metrics()).get_suptitle()


def test_rows_without_a_value_are_left_out_and_nothing_at_all_is_said():
    frame = metrics()
    frame.loc[frame["step"] == 100, "l1_truth"] = None
    assert drawn(race_figure(frame).axes[1])[colour("KD")] == [[200, 2 / 12]]
    with pytest.raises(LabError, match="nothing has been evaluated"):
        race_figure(metrics().assign(AP=np.nan, l1_teacher=np.nan, l1_truth=np.nan))
    with pytest.raises(LabError, match="has no l1_truth"):
        race_figure(metrics().drop(columns="l1_truth"))


COMPARED = pd.DataFrame(
    [
        ("a above b", 3, 2.0, 0.5, HELD),
        ("c above d", 3, -2.0, 0.5, FAILED),
        ("e above f", 1, 4.0, float("nan"), OPEN),
        ("g above h", 0, float("nan"), float("nan"), OPEN),
    ],
    columns=["comparison", "n", "difference", "half_width", "verdict"],
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


def test_methods_look_unlike_each_other_and_the_known_ones_always_the_same():
    known = ["none", "KD", "CrossKD", "CrossKD+PKD", "PKD", "CrossKD+KD", "LD"]
    together = styles([*known, "FGD", "a", "b"])
    assert len(set(together.values())) == len(together) == 10
    for part in zip(*styles(known).values(), strict=True):  # colours, markers
        assert len(set(part)) == len(known)
    assert styles(["CrossKD"])["CrossKD"] == together["CrossKD"]
    assert len({look.colour for look in styles("abcd").values()}) == 4


def test_a_figure_is_saved_as_png_and_svg_1280_wide_the_same_bytes_each_time(tmp_path):
    first = save(race_figure(metrics()), tmp_path / "deep" / "race.v2.png")
    assert [path.name for path in first] == ["race.v2.png", "race.v2.svg"]
    assert sorted(first) == sorted((tmp_path / "deep").iterdir()), "and no half-written file"
    assert mpl.image.imread(first[0]).shape[1] == 1280
    again = save(race_figure(metrics()), tmp_path / "v1.5")
    assert [path.name for path in again] == ["v1.5.png", "v1.5.svg"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    shown = io.BytesIO(race_figure(metrics())._repr_png_())
    assert mpl.image.imread(shown).shape[1] == 1280, "as a notebook shows it"


def test_a_run_so_far_shows_loss_and_ap_over_steps_or_nothing_yet():
    rows = pd.DataFrame(
        [(10, "train", 2.0, None), (20, "train", 1.5, None), (20, "val", None, 7.0)],
        columns=["step", "kind", "loss", "AP"],
    )
    loss, ap = watch_figure(rows, steps=40).axes
    assert loss.lines[0].get_xydata().tolist() == [[10, 2.0], [20, 1.5]]
    assert ap.lines[0].get_xydata().tolist() == [[20, 7.0]]
    assert loss.get_xlim() == ap.get_xlim() == (0, 40)
    empty = watch_figure(pd.DataFrame(columns=["step", "kind"]))
    assert [ax.texts[0].get_text() for ax in empty.axes] == ["nothing yet"] * 2
