"""``crosskd-lab race`` says what can be named, and refuses other names in one line."""

from __future__ import annotations

import pytest

from crosskd_lab import cli


def run(capsys, *args):
    with pytest.raises(SystemExit) as ended:
        cli.main(["race", *map(str, args)])
    captured = capsys.readouterr()
    return ended.value.code or 0, captured.out, captured.err


def test_help_lists_what_can_be_named(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, said, _ = run(capsys, "--help")
    said = " ".join(said.replace("│", " ").split())
    assert code == 0
    for name in ("atss_r18_w16, atss_r18_w32", "crosskd, crosskd_kd", "gfl_r18_w32", "random:NAME"):
        assert name in said


@pytest.mark.parametrize("option", ["--student", "--teacher", "--methods"])
def test_an_unknown_name_is_one_line(capsys, tmp_path, option):
    code, _, error = run(capsys, option, "magic", "--out", tmp_path / "race")
    assert (code, error.count("\n")) == (1, 1)
    assert error.startswith("crosskd-lab: ") and "'magic'" in error and "choose from" in error
    assert not (tmp_path / "race").exists()
