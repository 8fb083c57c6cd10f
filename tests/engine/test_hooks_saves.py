"""Checkpoints: whole or not there, the newest found by its number."""

import os

import pytest
import torch
from mmengine.fileio import get_file_backend

from crosskd_lab.engine.hooks import WHOLE, last_checkpoint, saved_step
from crosskd_lab.errors import LabError


def test_the_newest_is_found_by_number_not_by_name(tmp_path):
    assert last_checkpoint(tmp_path) is None
    assert last_checkpoint(tmp_path / "none") is None
    for name in ("iter_900.pth", "iter_1000.pth", ".iter_2000.pth.77.part", "best_iter_3000.pth"):
        torch.save({}, tmp_path / name)
    assert last_checkpoint(tmp_path) == tmp_path / "iter_1000.pth"
    whole = (tmp_path / "iter_1000.pth").read_bytes()
    (tmp_path / "iter_1000.pth").write_bytes(whole[: len(whole) // 2])
    assert last_checkpoint(tmp_path) == tmp_path / "iter_900.pth", "it took one that was cut short"
    assert saved_step(tmp_path / "iter_1000.pth") == 1000
    assert saved_step(None) == 0


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    backend = get_file_backend(backend_args={"backend": WHOLE})
    file = tmp_path / "run" / "iter_1.pth"
    backend.put(b"old", str(file))

    def fails(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(LabError, match="disk full"):
        backend.put(b"new", str(file))
    assert file.read_bytes() == b"old"
    assert [path.name for path in file.parent.iterdir()] == ["iter_1.pth"]
