"""The race at a scale that says nothing about methods: that it runs, resumes, refuses and tells."""

import itertools
import json
from pathlib import Path

import pytest
import torch

from crosskd_lab.configs import read_config
from crosskd_lab.distiller import Distiller
from crosskd_lab.engine.record import read_record
from crosskd_lab.engine.train import prepare_engine
from crosskd_lab.errors import LabError
from crosskd_lab.files import PROJECT, write_whole
from crosskd_lab.methods.crosskd import CrossKD
from crosskd_lab.methods.pkd import PKD
from crosskd_lab.pair import Pair, build_detector
from crosskd_lab.runs import race
from crosskd_lab.runs.race import find_student, find_teacher, load_race, run_race
from crosskd_lab.taps import collect

SMALL = {"schedule.batch": 4, "data.size": 96}
STEPS, METHODS = 3, ("none", "crosskd")
AUTHORS = {
    # the teacher's head: i, weights of the class and the box term, PKD's beside them
    "gfl": (3, 1.0, 4.0, 6.0),
    "retinanet": (3, 1.0, 1.0, 2.0),
    "atss": (3, 1.0, 1.0, 1.0),
    "fcos": (2, 0.4, 0.75, 2.0),
}


@pytest.fixture(scope="module")
def raced(tmp_path_factory, scenes_dir):
    """A finished race of two methods and two seeds, and the rows that its listener was told."""
    out, told = tmp_path_factory.mktemp("race") / "race", []
    result = run_race(
        out,
        STEPS,
        seeds=2,
        methods=METHODS,
        data=scenes_dir,
        settings=SMALL,
        listener=lambda *row: told.append(row),
    )
    return result, told


def test_a_row_for_every_validation_of_every_student(raced):
    curves = raced[0].curves
    found = {tuple(row) for row in curves[["method", "seed", "step"]].itertuples(index=False)}
    assert found == {(m, s, k) for m in ("none", "CrossKD") for s in (0, 1) for k in (1, 2, 3)}
    assert curves[["AP", "l1_teacher", "l1_truth"]].notna().all(axis=None)


def test_the_listener_hears_of_each_student_in_turn(raced):
    order = list(dict.fromkeys((method, seed) for method, seed, _ in raced[1]))
    assert order == [("none", 0), ("crosskd", 0), ("none", 1), ("crosskd", 1)]


def test_all_students_of_a_seed_start_alike_and_differ_by_their_losses(raced):
    folder = raced[0].folder
    methods = [read_record(folder / f"{m}-s0")["methods"] for m in METHODS]
    assert [[m["type"] for m in listed] for listed in methods] == [[], ["CrossKD"]]
    teachers = {read_record(folder / f"{m}-s0")["teacher"]["sha256"] for m in METHODS}
    assert len(teachers) == 1
    configs = [read_config(folder / f"{m}-s0" / "config.py") for m in METHODS]
    assert configs[0].model.student == configs[1].model.student
    assert [cfg.randomness.seed for cfg in configs] == [0, 0]
    assert [cfg.train_dataloader.dataset.seed for cfg in configs] == [0, 0]


def test_figure_text_and_numbers_lie_in_the_folder(raced):
    folder = raced[0].folder
    assert {"race.png", "race.svg", "race.md", "race.csv"} <= {p.name for p in folder.iterdir()}
    assert (folder / "race.md").read_text().strip() == raced[0].paragraph
    assert "2 seeds each" in raced[0].paragraph


def test_a_finished_race_is_read_and_not_run_again(raced, scenes_dir):
    before = {p: p.stat().st_mtime_ns for p in raced[0].folder.glob("*/record.json")}
    again = run_race(
        raced[0].folder, STEPS, seeds=2, methods=METHODS, data=scenes_dir, settings=SMALL
    )
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert again.curves.equals(raced[0].curves)
    assert load_race(raced[0].folder).teacher_ap == raced[0].teacher_ap


def test_an_interrupted_race_goes_on_and_ends_as_if_it_had_not_been(tmp_path, scenes_dir, raced):
    def stop(method, seed, row):
        if method == "crosskd" and row["step"] == 2:
            raise KeyboardInterrupt

    plan = dict(steps=STEPS, methods=METHODS, data=scenes_dir, settings=SMALL)
    with pytest.raises(KeyboardInterrupt):
        run_race(tmp_path / "race", listener=stop, **plan)
    with pytest.raises(LabError, match="no finished race"):
        load_race(tmp_path / "race")
    resumed = run_race(tmp_path / "race", **plan).curves
    whole = raced[0].curves.query("seed == 0")
    for column in ("method", "step", "AP", "l1_teacher", "l1_truth"):
        assert resumed[column].tolist() == whole[column].tolist(), column


def test_another_race_is_not_mixed_into_the_folder(raced, scenes_dir):
    with pytest.raises(LabError, match="another steps"):
        run_race(raced[0].folder, 4, methods=METHODS, data=scenes_dir, settings=SMALL)
    other = SMALL | {"schedule.lr": 0.001}
    with pytest.raises(LabError, match="another settings"):
        run_race(raced[0].folder, STEPS, methods=METHODS, data=scenes_dir, settings=other)


@pytest.fixture(scope="module")
def detectors():
    """An untrained student and teacher of every family, ``detectors[family]``."""
    prepare_engine()
    torch.manual_seed(0)
    built = {}
    for family in AUTHORS:
        configs = find_student(f"{family}_r18_w16"), find_teacher(f"random:{family}_r18_w32").config
        built[family] = [build_detector(read_config(name).model) for name in configs]
    return built


@pytest.mark.parametrize(("student", "teacher"), list(itertools.product(AUTHORS, AUTHORS)))
def test_every_ordered_pair_distils_as_the_teachers_head_asks(
    detectors, make_batch, student, teacher
):
    pair = Pair(detectors[student][0].train(), detectors[teacher][1])
    inputs, samples = make_batch()
    taps, _ = collect(pair, inputs, samples)
    losses = {}
    for method in ("kd", "crosskd_pkd"):
        listed = [dict(entry) for entry in read_config(f"pocket/{method}").methods]
        for made in Distiller(pair=pair, methods=listed).methods:
            losses |= made.losses(taps)
    i, cls_weight, reg_weight, neck_weight = AUTHORS[teacher]
    wanted = CrossKD(i=i, cls_weight=cls_weight, reg_weight=reg_weight).losses(taps)
    wanted |= PKD(weight=neck_weight).losses(taps)
    assert {name: losses[name].item() for name in wanted} == {
        k: v.item() for k, v in wanted.items()
    }
    assert set(losses) - set(wanted) >= {"loss_kd_cls", "loss_kd_reg"}
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())


def test_a_pair_of_unlike_kinds_races(tmp_path, scenes_dir):
    out = tmp_path / "race"
    names = dict(student="retinanet_r18_w16", teacher="random:fcos_r18_w32")
    result = run_race(out, STEPS, data=scenes_dir, settings=SMALL, **names)
    assert set(result.curves["method"]) == {"none", "KD", "CrossKD", "CrossKD+PKD"}
    # nine anchors a location are held against one
    assert result.curves[["AP", "l1_teacher", "l1_truth"]].notna().all(axis=None)
    assert result.teacher_ap is None
    assert result.title == "How retinanet_r18_w16 students of random:fcos_r18_w32 train"
    assert "The paper has no RetinaNet student of a FCOS teacher." in result.paragraph
    assert (out / "race.png").is_file()
    command = read_record(out / "crosskd-s0")["command"]
    said = " ".join(command)
    assert "--methods none,kd,crosskd,crosskd_pkd --student pocket/retinanet_r18_w16" in said
    assert f"--teacher {names['teacher']} --data {scenes_dir} --out {out} " in said
    assert all(f"--set {key}={value}" in said for key, value in SMALL.items())
    with pytest.raises(LabError, match="another teacher and kinds"):
        run_race(out, STEPS, data=scenes_dir, settings=SMALL, student=names["student"])


def test_a_run_can_be_named_as_a_teacher(tmp_path, scenes_dir, raced):
    """Even a distilled one; after three steps it knows nothing, and that is what is said."""
    run = raced[0].folder / "crosskd-s0"
    assert find_teacher(str(run)).checkpoint == run / "iter_3.pth"
    with pytest.raises(LabError, match="the teacher's best score on the first batch is"):
        run_race(tmp_path / "race", STEPS, 1, ("kd",), scenes_dir, str(run), settings=SMALL)


def test_a_bare_file_needs_its_config(raced):
    file = str(raced[0].folder / "none-s0" / "iter_3.pth")
    with pytest.raises(LabError, match="--set teacher.config=CONFIG"):
        find_teacher(file)
    assert find_teacher(file, "pocket/gfl_r18_w16").config == "pocket/gfl_r18_w16"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (dict(student="yolo"), "no student 'yolo': choose from atss_r18_w16, .*retinanet_r18_w32"),
        (dict(student="pocket/crosskd"), "pocket/crosskd is no detector: choose from atss_r18"),
        (dict(teacher="yolo"), "no trained 'yolo' is shipped: choose from .*gfl_r18_w32.*random:N"),
        (dict(teacher="random:yolo"), "no student 'yolo'"),
        (dict(teacher="gfl_r18_w16"), "train it .'crosskd-lab train pocket/gfl_r18_w16'"),
        (dict(methods=("crosskd", "magic")), "no method 'magic': choose from .*crosskd, .*none"),
        (dict(methods=()), "at least one method, each named once"),
        (dict(methods=("kd", "kd")), "at least one method, each named once"),
        (dict(methods=("gfl_r18_w16",)), "no method 'gfl_r18_w16': choose from"),
        (dict(settings={"student": "x"}), "--set student: all students .*say --student"),
        (dict(settings={"teacher.checkpoint": "x"}), "--set teacher.checkpoint: .*say --teacher"),
        (dict(settings={"schedule.steps": 9}), "--set schedule.steps: .*say --steps"),
    ],
)
def test_a_name_that_stands_for_nothing_lists_what_there_is(tmp_path, names, said):
    with pytest.raises(LabError, match=said) as error:
        run_race(tmp_path / "race", STEPS, **names)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "race").exists()


def test_a_race_is_the_same_however_its_places_are_written(tmp_path, monkeypatch):
    """As typed in an older race, from another folder, or as the record's command has them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    name = "data/teachers/gfl_r18_w32"  # as a run's folder is
    write_whole("race/race.json", json.dumps({"data": "mine", "teacher": str(PROJECT / name)}))
    for _ in range(2):  # as it was typed, and as it is kept since
        race._claim(Path("race"), {"data": str(tmp_path / "mine"), "teacher": name})
    with pytest.raises(LabError, match="another teacher: choose"):
        race._claim(Path("race"), {"teacher": "gfl_r18_w32"})
