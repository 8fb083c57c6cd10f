"""Students come ready to be looked at, and say where they come from."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from crosskd_lab.data.scene_sets import data_checksum
from crosskd_lab.engine.record import finish_record, start_record
from crosskd_lab.errors import LabError
from crosskd_lab.maps import pixels
from crosskd_lab.methods.crosskd import CrossKD
from crosskd_lab.notebook.students import (
    Held,
    calm,
    effort,
    held_out,
    real_set,
    tell,
    train_student,
)


def test_a_student_is_ready_and_says_where_it_comes_from(student):
    assert student.origin == "4 steps of 4 images, just now"
    assert not student.pair.student.training and not student.pair.teacher.training
    with pytest.raises(LabError, match="'huge' is unknown: choose one of smoke, cpu, gpu"):
        effort("huge")


def test_training_moves_the_weights_and_says_how_far_it_is(tiny_scenes, capsys, student):
    other = train_student("none", "smoke", tiny_scenes, teacher="random")
    told = capsys.readouterr().out.splitlines()
    assert told[-1].startswith("none: step 4 of 4, loss ")
    ours, theirs = (s.pair.student.bbox_head.gfl_cls.weight for s in (student, other))
    assert not torch.equal(ours, theirs), "one start, two losses: the weights must part"


def test_held_out_images_are_the_first_on_disk_together_or_one_by_one(student, batch, tiny_scenes):
    assert batch["inputs"].shape == (3, 3, 160, 160), "no more than there are"
    assert held_out(student, 2)["inputs"].shape == (2, 3, 160, 160)
    for k, image in enumerate(pixels(student.pair, batch["inputs"])):
        on_disk = np.asarray(Image.open(tiny_scenes / "val" / f"{k:06d}.png").convert("RGB"))
        assert np.array_equal(image, on_disk)
    singles = Held(student.pair, [batch], "just now").singles()
    assert len(singles) == 3
    assert torch.equal(torch.cat([one["inputs"] for one in singles]), batch["inputs"])


def test_a_teacher_may_be_a_runs_folder(tmp_path, tiny_scenes):
    with pytest.raises(LabError, match="holds no checkpoint"):
        train_student("none", "smoke", tiny_scenes, teacher=str(tmp_path))


def finished_race(folder, weights, scenes, finished=True, teacher="random"):
    """A race's folder with one run whose last checkpoint holds ``weights``."""
    run = folder / "none-s0"
    data = {"path": "scenes", "checksum": data_checksum(scenes)}
    taught = {"name": "t", "sha256": teacher}
    start_record(run, command=[], config="", seed=0, data=data, teacher=taught, methods=None)
    for step, kept in ((5, {}), (12, weights)):
        torch.save({"state_dict": kept}, run / f"iter_{step}.pth")
    finish_record(run, "done", results={})
    if finished:
        (folder / "race.csv").write_text("method,seed,step,AP\n")


def test_a_method_of_ones_own_trains_as_the_same_from_a_config(tiny_scenes, student):
    own = train_student(CrossKD(), "smoke", tiny_scenes, teacher="random")
    assert own.name == "CrossKD"
    theirs = student.pair.student.state_dict()
    for name, value in own.pair.student.state_dict().items():
        assert torch.equal(value, theirs[name]), name


@pytest.fixture
def scenes_of_the_lab(monkeypatch, tiny_scenes):
    monkeypatch.setattr("crosskd_lab.notebook.students.lesson_scenes", lambda scale: tiny_scenes)


@pytest.mark.usefixtures("scenes_of_the_lab")
def test_a_finished_race_lends_its_student(student, tmp_path, tiny_scenes):
    weights = {k: v.clone() for k, v in student.pair.student.state_dict().items()}
    weights["bbox_head.gfl_cls.bias"] = torch.arange(10.0)
    finished_race(tmp_path, weights, tiny_scenes)
    lent = train_student("none", "smoke", teacher="random", race=tmp_path)
    assert lent.origin == "your race, run none-s0, 12 steps"
    assert lent.pair.student.bbox_head.gfl_cls.bias.tolist() == list(range(10))


@pytest.mark.usefixtures("scenes_of_the_lab")
@pytest.mark.parametrize("other", ["student", "teacher", "scenes", "still running"])
def test_a_race_that_does_not_fit_or_still_runs_is_left_alone(
    student, tmp_path, tiny_scenes, scenes_dir, other
):
    weights = dict(student.pair.student.state_dict())
    weights = {"neck.weight": torch.ones(1)} if other == "student" else weights
    scenes = scenes_dir if other == "scenes" else tiny_scenes
    teacher = "0" * 64 if other == "teacher" else "random"
    finished_race(tmp_path, weights, scenes, other != "still running", teacher)
    trained = train_student("none", "smoke", teacher="random", race=tmp_path)
    assert trained.origin.endswith("just now")


def test_where_there_are_no_photographs_it_is_said(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("CROSSKD_REAL_DATA", raising=False)
    assert real_set("bccd") is None
    assert "CROSSKD_REAL_DATA is not set: no photographs here" in capsys.readouterr().out
    monkeypatch.setenv("CROSSKD_REAL_DATA", str(tmp_path))
    assert real_set("bccd") is None
    assert f"there is no {tmp_path / 'bccd'}" in capsys.readouterr().out
    (tmp_path / "bccd").mkdir()
    assert real_set("bccd") == tmp_path / "bccd"


def test_every_validation_of_a_race_is_told_and_no_warning(capsys, recwarn):
    with calm():
        warnings.warn("an engine's own", stacklevel=1)
        tell("crosskd", 0, {"kind": "train", "step": 1, "loss": 3.0})
        tell("crosskd", 0, {"kind": "val", "step": 2, "AP": 12.34})
    assert capsys.readouterr().out == "crosskd, seed 0, step 2: AP 12.3\n"
    assert not recwarn.list
