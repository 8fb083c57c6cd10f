"""Photographs are taken from where the variable points, and never missed in silence."""

from __future__ import annotations

import pytest

from crosskd_lab.configs import RANDOM
from crosskd_lab.notebook import photographs
from crosskd_lab.notebook.photographs import VARIABLE, assigner_frames, photo_teacher, real_set


def test_no_folder_is_said(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert real_set("bccd") is None
    assert f"{VARIABLE} is not set: no photographs here" in capsys.readouterr().out
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert real_set("bccd") is None
    assert f"there is no {tmp_path / 'bccd'}" in capsys.readouterr().out
    (tmp_path / "bccd").mkdir()
    assert real_set("bccd") == tmp_path / "bccd"
    assert assigner_frames(None) is None


def test_three_assigners_over_any_set(scenes_dir, monkeypatch):
    asked = {}
    original = photographs._asked

    def keep(folder, family, images):
        asked[family] = original(folder, family, images)
        return asked[family]

    monkeypatch.setattr(photographs, "_asked", keep)
    frames = assigner_frames(scenes_dir, images=2)
    assert frames.values[0] == [0, 1]
    first = [views[0] for views in asked.values()]
    assert all((view.image == first[0].image).all() for view in first)
    maps = [view.maps["ground truth"] for view in first]
    assert all(set(map_.ravel()) <= {0, 1} and map_.any() for map_ in maps)
    assert (maps[0] != maps[1]).any(), "FCOS marks other locations than ATSS"


def test_an_untrained_teacher_is_called_so(tmp_path):
    teacher, words = photo_teacher("smoke", tmp_path)
    assert teacher == RANDOM and "UNTRAINED" in words


def test_a_quick_teacher_is_trained_once(scenes_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "effort", lambda scale: photographs_effort())
    teacher, words = photo_teacher("cpu", scenes_dir, tmp_path / "run")
    assert "trained here for 2 steps of 4 images, AP" in words
    with monkeypatch.context() as patch:
        patch.setattr(photographs, "train", lambda *_: pytest.fail("trained twice"))
        assert photo_teacher("cpu", scenes_dir, tmp_path / "run") == (teacher, words)


def photographs_effort():
    """One step of four images; a teacher gets twice as many."""
    from crosskd_lab.notebook.students import Effort

    return Effort(1, 4)


def test_real_photographs(real_data):
    frames = assigner_frames(real_data / "coco-free", images=1)
    assert frames.values[0] == [0]
