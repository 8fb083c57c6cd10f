"""``teachers get``, ``teachers list`` and ``data coco`` as a user meets them."""

from __future__ import annotations

import pytest

from crosskd_lab import cli
from crosskd_lab.configs import PUBLIC, local_file


def run(capsys, *args):
    with pytest.raises(SystemExit) as ended:
        cli.main([*map(str, args)])
    captured = capsys.readouterr()
    return ended.value.code or 0, captured.out, captured.err


def test_the_teachers_are_listed(capsys):
    code, said, _ = run(capsys, "teachers", "list")
    lines = said.splitlines()
    assert code == 0 and "gfl_r18_w32        shipped" in lines
    for name in PUBLIC:
        assert any(line.startswith(f"{name} ") and "public" in line for line in lines)


def test_nobody_there_is_one_line_with_the_remedy(capsys, tmp_path):
    away = ("--mirror", "http://127.0.0.1:9")  # discard: nothing listens there
    if not local_file("fcos_r101").is_file():
        code, _, error = run(capsys, "teachers", "get", "fcos_r101", *away)
        assert code == 1 and error.count("\n") == 1 and "is online" in error
    code, _, error = run(capsys, "teachers", "get", "nobody")
    assert code == 1 and error.count("\n") == 1 and "choose from gfl_r101" in error
    code, _, error = run(capsys, "data", "coco", "--root", tmp_path, "--split", "val", *away)
    assert code == 1 and error.count("\n") == 1 and "--from DIR" in error
    code, _, error = run(capsys, "data", "coco", "--root", tmp_path, "--from", tmp_path / "none")
    assert code == 1 and "annotations_trainval2017.zip" in error
