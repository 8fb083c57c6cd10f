"""A file is written whole or not at all."""

from __future__ import annotations

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.files import write_whole


def test_text_and_bytes_replace_what_was_there(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    write_whole(target, "nèw")
    assert target.read_bytes() == "nèw".encode()
    write_whole(target, b"\x00\x01")
    assert target.read_bytes() == b"\x00\x01"


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr("crosskd_lab.files.os.replace", full_disk)
    with pytest.raises(LabError, match="cannot be written .no space left.: free some space"):
        write_whole(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"
