"""Figures show the numbers they were given, say what is missing, and are written whole."""

import io
import itertools
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.claims import FAILED, HELD, OPEN
from crosskd_lab.report.figures import (
    DPI,
    WIDTH,
    differences_figure,
    prediction_figure,
    race_figure,
    render,
    save,
    styles,
    time_figure,
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


def test_a_method_looks_the_same_whatever_else_is_drawn():
    names = ["none", "KD", "CrossKD", "CrossKD+PKD", "PKD", "CrossKD+KD", "LD", "FGD", "a", "b"]
    together = styles(names)
    assert len(set(together.values())) == len(names)
    known = names[:7]
    assert len({look.marker for look in styles(known).values()}) == len(known)
    assert len({look.colour for look in styles(known).values()}) == len(known)
    assert all(styles([name])[name] == together[name] for name in ("none", "CrossKD", "FGD"))
    assert styles(reversed(names)) == together
    four = styles(["crosskd_0", "crosskd_1", "crosskd_3", "crosskd_4"])
    assert len({look.colour for look in four.values()}) == 4


def test_a_figure_is_saved_as_png_and_svg_1280_wide(tmp_path):
    written = save(race_figure(metrics()), tmp_path / "deep" / "race.v2.png")
    assert [path.name for path in written] == ["race.v2.png", "race.v2.svg"]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == [
        "race.v2.png",
        "race.v2.svg",
    ]
    assert mpl.image.imread(written[0]).shape[1] == 1280
    assert b"<svg" in written[1].read_bytes()[:1000]
    assert [path.name for path in save(race_figure(metrics()), tmp_path / "v1.5")] == [
        "v1.5.png",
        "v1.5.svg",
    ]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_frame_gives_the_same_bytes(kind):
    assert render(race_figure(metrics()), kind) == render(race_figure(metrics()), kind)


def test_a_notebook_shows_a_figure_by_itself():
    picture = mpl.image.imread(io.BytesIO(race_figure(metrics())._repr_png_()))
    assert picture.shape[1] == 1280


def test_figures_are_drawn_without_torch_or_mmdet():
    code = "import sys, crosskd_lab.report.figures; print(*({'torch', 'mmdet'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


POINTS = pd.DataFrame(
    [("gfl from atss", 0.4, 3, 1.5, 0.5), ("gfl from gfl", 0.2, 1, -1.0, float("nan"))],
    columns=["pair", "ratio", "n", "gain", "half_width"],
)


def test_a_point_a_pair_named_in_the_order_of_ratios():
    figure = prediction_figure(POINTS)
    (ax,), (legend,) = figure.axes, figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["gfl from gfl, 1 seed", "gfl from atss, 3 seeds"]
    single, seeds = ax.containers
    assert (single.lines[0].get_xdata(), single.lines[0].get_ydata()) == (0.2, -1.0)
    (bar,) = seeds.lines[2][0].get_segments()
    assert bar.tolist() == [[0.4, 1.0], [0.4, 2.0]]
    assert not single.lines[2], "one seed has no interval"
    assert single.lines[0].get_markerfacecolor() == "white"
    looks = {(c.lines[0].get_color(), c.lines[0].get_marker()) for c in ax.containers}
    assert len(looks) == 2, "pairs look unlike each other"


def test_a_prediction_without_points_is_said():
    with pytest.raises(LabError, match="nothing to draw"):
        prediction_figure(POINTS[:0])
    with pytest.raises(LabError, match="no gain"):
        prediction_figure(POINTS.drop(columns="gain"))


def test_losses_and_ap_over_steps():
    rows = pd.DataFrame(
        [
            {"step": 10, "kind": "train", "loss": 2.0},
            {"step": 20, "kind": "train", "loss": 1.5},
            {"step": 20, "kind": "val", "AP": 7.0},
        ]
    )
    loss, ap = watch_figure(rows, steps=40).axes
    assert loss.lines[0].get_xydata().tolist() == [[10, 2.0], [20, 1.5]]
    assert ap.lines[0].get_xydata().tolist() == [[20, 7.0]]
    assert loss.get_xlim() == ap.get_xlim() == (0, 40)


def test_nothing_yet():
    empty = pd.DataFrame(columns=["step", "kind"])
    assert [ax.texts[0].get_text() for ax in watch_figure(empty).axes] == ["nothing yet"] * 2
