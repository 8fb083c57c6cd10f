"""``teachers get``, ``teachers list`` and ``data coco`` as a user meets them."""

import re

import pytest

from crosskd_lab.configs import PUBLIC, local_file


@pytest.mark.parametrize("wide", [[], ["--wide"]])
def test_the_teachers_are_listed_in_whole_columns(run, monkeypatch, wide):
    monkeypatch.setenv("COLUMNS", "80")
    code, said, _ = run("teachers", "list", *wide)
    lines = [re.split("  +", line.strip()) for line in said.splitlines()]
    assert code == 0 and ["gfl_r18_w32", "shipped"] in [line[:2] for line in lines]
    for name, address in PUBLIC.items():
        here = local_file(name).is_file()
        told = ["public", f"data/teachers/{local_file(name).name}"]
        told = told if here else ["to be fetched", address]
        assert [name, *(told if wide else told[:1])] in lines
    assert wide or max(map(len, said.splitlines())) <= 80


def test_nobody_there_is_one_line_with_the_remedy(run, tmp_path, monkeypatch):
    away = ("--mirror", "http://127.0.0.1:9")  # discard: nothing listens there
    monkeypatch.setattr(
        "crosskd_lab.data.fetch.local_file", lambda name, _: local_file(name, tmp_path)
    )
    code, _, error = run("teachers", "get", "fcos_r101", *away)
    assert code == 1 and error.count("\n") == 1 and "is online" in error
    code, _, error = run("teachers", "get", "nobody")
    assert code == 1 and error.count("\n") == 1 and "choose from gfl_r101" in error
    code, _, error = run("data", "coco", "--root", tmp_path, "--split", "val", *away)
    assert code == 1 and error.count("\n") == 1 and "--from DIR" in error
    code, _, error = run("data", "coco", "--root", tmp_path, "--from", tmp_path / "none")
    assert code == 1 and "annotations_trainval2017.zip" in error
