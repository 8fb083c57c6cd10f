"""Notebook 03: menus over every pair, two assigners on any images, a race of any pair."""

from __future__ import annotations

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.methods.crosskd import CrossKD
from crosskd_lab.notebook import any_pair
from crosskd_lab.notebook.any_pair import (
    agreement_table,
    delivery_picture,
    layer_frames,
    narrow_pair,
    open_bench,
    pair_menus,
    positive_menus,
    race_pair,
)
from crosskd_lab.notebook.views import spaces_table, translation

FAMILIES = {"gfl", "atss", "fcos", "retinanet"}


@pytest.fixture(scope="module")
def bench(scenes_dir):
    return open_bench("smoke", scenes_dir)


def test_every_dense_pocket_detector_is_on_the_bench(bench):
    assert {name.split("_")[0] for name in bench.students} == FAMILIES
    assert {name.split("_")[0] for name in bench.teachers} == FAMILIES
    with pytest.raises(LabError, match="no 'yolo': choose from atss"):
        bench.pair("yolo", bench.teachers[0])


def test_the_menus_hold_every_pair(bench, monkeypatch):
    """Which is drawn without drawing: the titles alone tell the pictures apart."""
    monkeypatch.setattr(any_pair, "render", lambda figure, kind: figure.encode())
    monkeypatch.setattr(
        any_pair,
        "delivery_picture",
        lambda pair, method: f"{type(pair.student).__name__} {type(pair.teacher).__name__}",
    )
    menus = pair_menus(bench, "fcos_r18_w16", "atss_r18_w32")
    assert menus.choice == ("fcos_r18_w16", "atss_r18_w32")
    assert menus.image.value == b"FCOS ATSS"
    assert len(menus.pictures) == len(set(menus.pictures.values())) == 16
    menus.controls[0].value = "retinanet_r18_w16"
    assert menus.image.value == b"RetinaNet ATSS"


def test_fcos_is_entered_a_layer_earlier(bench):
    for teacher, i in (("fcos_r18_w32", 2), ("gfl_r18_w32", 3)):
        figure = delivery_picture(bench.pair("gfl_r18_w16", teacher), CrossKD())
        assert f"i = {i}" in figure.get_suptitle()


def test_a_picture_for_every_layer(bench):
    frames = layer_frames(bench.pair("gfl_r18_w16", "fcos_r18_w32"))
    assert list(frames.pictures) == [0, 1, 2, 3, 4]
    assert len(set(frames.pictures.values())) == 5 and frames.control.value == 2


def test_heads_that_do_not_fit_are_refused_until_told_how(bench):
    pair = narrow_pair(bench, "gfl_r18_w16", "retinanet_r18_w32", channels=32, convs=3)
    assert (pair.student_head.depth, pair.student_head.channels("reg", 2)) == (3, 32)
    with pytest.raises(LabError, match="3 hidden convs, the teacher's 4"):
        delivery_picture(pair, CrossKD())
    texts = delivery_picture(pair, CrossKD(i=3, align="conv")).axes[0].texts
    assert "1×1 conv,\n32 to 64,\nthen statistics" in [text.get_text() for text in texts]


@pytest.mark.parametrize(
    ("student", "teacher", "said"),
    [
        ("gfl_r18_w16", "gfl_r18_w32", "One space"),
        ("gfl_r18_w16", "atss_r18_w32", "Two spaces: plain KD decodes both boxes"),
        ("gfl_r18_w16", "retinanet_r18_w32", "the best of the teacher's 9 anchors"),
        ("retinanet_r18_w16", "fcos_r18_w32", "the nearest of the student's 9 anchors"),
    ],
)
def test_what_plain_mimicking_must_do(bench, student, teacher, said):
    assert said in translation(bench.pair(student, teacher))


def test_the_spaces_of_unlike_heads(bench):
    table = spaces_table(bench.pair("fcos_r18_w16", "retinanet_r18_w32"))
    ours, theirs = table["student: FCOS"], table["teacher: RetinaNet"]
    assert ours["numbers a location, in all"] == 10 + 4 + 1  # centerness
    assert theirs["numbers a location, in all"] == 9 * (10 + 4)
    assert ours["box, coded as"] == "distances to the edges"
    assert theirs["box, coded as"] == "deltas from an anchor"
    where = "first location of the finest level (x, y)"
    assert (ours[where], theirs[where]) == ((4.0, 4.0), (0.0, 0.0))


def test_positives_of_both_over_a_set(bench):
    same = agreement_table(bench, "gfl_r18_w16", "atss_r18_w32")
    assert same.loc["all levels", "agreement"] == 1
    unlike = agreement_table(bench, "gfl_r18_w16", "fcos_r18_w32")
    assert (
        unlike.loc["all levels", ["both", "student alone"]].sum() == same.loc["all levels", "both"]
    )
    levels = unlike.drop(index="all levels")[["both", "student alone", "teacher alone"]]
    assert levels.sum().tolist() == unlike.loc["all levels", list(levels)].tolist()


def test_every_pair_has_its_positives_drawn(bench, monkeypatch):
    monkeypatch.setattr(any_pair, "render", lambda figure, kind: figure.get_suptitle().encode())
    menus = positive_menus(bench, "gfl_r18_w16", "fcos_r18_w32")
    assert len(set(menus.pictures.values())) == 16
    assert menus.image.value == b"Positive locations: GFL student, FCOS teacher"


def test_assigners_on_photographs(real_data):
    """Classes and sizes of another set: nothing here needs a trained detector."""
    bench = open_bench("smoke", real_data / "coco-free")
    table = agreement_table(bench, "gfl_r18_w16", "retinanet_r18_w32", images=4)
    assert table.loc["all levels", "both"] > 0
    assert bench.pair("fcos_r18_w16", "gfl_r18_w32").student_head.num_classes == len(
        bench.survey.classes
    )


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What races were asked for, none of them run."""
    calls = []
    monkeypatch.setattr(any_pair, "run_race", lambda out, **options: calls.append((out, options)))
    monkeypatch.setattr(any_pair, "lesson_scenes", lambda scale: tmp_path)
    return calls


def test_a_shipped_teacher_is_taken_trained_and_another_not(asked, monkeypatch, capsys):
    monkeypatch.setattr(any_pair, "teachers", lambda: ["gfl_r18_w32"])
    race_pair("smoke", "fcos_r18_w16", "gfl_r18_w32")
    race_pair("smoke", "fcos_r18_w16", "atss_r18_w32", out="mine")
    (first, options), (second, others) = asked
    assert first.parts[-3:] == ("runs", "pairs", "fcos_r18_w16-from-gfl_r18_w32-smoke")
    assert str(second) == "mine"
    assert (options["teacher"], others["teacher"]) == ("gfl_r18_w32", "random:atss_r18_w32")
    assert options["methods"] == ("none", "kd", "crosskd")
    told = capsys.readouterr().out.splitlines()
    assert "UNTRAINED" not in told[0] and "UNTRAINED" in told[1]
