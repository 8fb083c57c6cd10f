"""Notebook 10: a folder is found, its faults are told, and boxes are turned rightly."""

from __future__ import annotations

import json

import pytest

from crosskd_lab.data.coco import find_split
from crosskd_lab.errors import LabError
from crosskd_lab.notebook import your_data
from crosskd_lab.notebook.your_data import (
    as_teacher,
    check_boxes,
    complaints,
    is_begun,
    is_done,
    own_folder,
    own_place,
    teacher_settings,
)


def test_the_learners_folder_comes_first(tmp_path, monkeypatch, scenes_dir):
    monkeypatch.setattr(your_data, "lesson_scenes", lambda scale: "drawn")
    monkeypatch.setattr(your_data, "write_scenes", lambda *words: "more drawn")
    monkeypatch.delenv("CROSSKD_REAL_DATA", raising=False)
    assert own_folder("cpu", scenes_dir) == scenes_dir
    assert own_folder("smoke") == "drawn" and own_folder("cpu") == "more drawn"
    (tmp_path / "bccd").mkdir()
    monkeypatch.setenv("CROSSKD_REAL_DATA", str(tmp_path))
    assert own_folder("smoke") == "drawn" and own_folder("cpu") == tmp_path / "bccd"
    with pytest.raises(LabError, match="is no folder"):
        own_folder("cpu", tmp_path / "elsewhere")
    with pytest.raises(LabError, match="unknown"):
        own_folder("huge")


def test_runs_have_a_place_and_a_state(tmp_path):
    assert own_place("cpu", tmp_path / "cells").parts[-3:] == ("runs", "your_data", "cells-cpu")
    assert own_place("cpu", tmp_path, tmp_path / "x") == tmp_path / "x"
    assert not is_begun(tmp_path) and not is_done(tmp_path)
    (tmp_path / "record.json").write_text('{"schema": 1, "status": "interrupted"}')
    assert is_begun(tmp_path) and not is_done(tmp_path)
    assert teacher_settings("smoke")["schedule.steps"] == 4


def test_only_at_scale_smoke_an_untrained_teacher_stands_in(tmp_path, capsys):
    assert as_teacher("cpu", tmp_path) == str(tmp_path)
    assert as_teacher("smoke", tmp_path) == "random:gfl_r18_w32"
    assert "UNTRAINED" in capsys.readouterr().out


def test_every_fault_is_told_in_a_line_that_names_it(scenes_dir):
    split = find_split(scenes_dir, "train")
    before = split.annotations.read_bytes()
    lines = complaints(scenes_dir).set_index("fault")["line"]
    document = json.loads(before)
    boxed = {box["image_id"] for box in document["annotations"]}
    first = next(image for image in document["images"] if image["id"] in boxed)
    words = ["no train split", "not valid JSON", *[first["file_name"]] * 2, "leaves the", "10000"]
    for (fault, line), word in zip(lines.items(), words, strict=True):
        assert word in line and "FOLDER" in line and "no bad record" not in line, fault
    assert len(set(lines)) == len(lines)
    assert split.annotations.read_bytes() == before


def test_photographs_have_the_same_faults(real_data):
    lines = complaints(real_data / "bccd")["line"]
    assert not lines.str.contains("no bad record").any()


def test_the_judge_of_boxes():
    def right(x, y, w, h, width, height):
        return [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]

    assert check_boxes(right).startswith("Right")
    assert "is the centre" in check_boxes(lambda x, y, w, h, W, H: [x * W, y * H, w * W, h * H])
    assert "two corners" in check_boxes(lambda *a: [80, 30, 120, 70])
    assert "counts pixels" in check_boxes(lambda x, y, w, h, W, H: [x - w / 2, y - h / 2, w, h])
    assert "not [0, 240, 128, 240]" in check_boxes(lambda *a: [80, 30, 40, 40])
