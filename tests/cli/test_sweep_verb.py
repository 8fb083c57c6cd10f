"""``crosskd-lab sweep`` says what is done, what is wrong, and starts what is missing."""

import subprocess

import pytest

from crosskd_lab.files import append_line
from crosskd_lab.report.sweep_spec import read_sweep


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["table9"], "there is no sweep 'table9': choose from "),
        (["table1", "--only", "fgd"], "table1 has no row 'fgd': it has none, kd, crosskd_0"),
        (["table1", "--seeds", "one"], "--seeds takes numbers such as 0,1,2; got 'one'"),
        (["table1", "--seeds", "-1"], "--seeds takes numbers such as 0,1,2; got '-1'"),
    ],
)
def test_a_mistake_is_one_line(run, tmp_path, args, said):
    code, _, error = run("sweep", *args, "--recorded", tmp_path)
    assert (code, error.count("\n")) == (1, 1)
    assert error.startswith(f"crosskd-lab: {said}")


def test_what_is_recorded_is_not_run(run, tmp_path):
    for row in read_sweep("smoke").rows:
        append_line(tmp_path / "x.jsonl", {"key": row.key, "seed": 0, "status": "done"})
    code, said, told = run("sweep", "smoke", "--recorded", tmp_path)
    assert code == 0 and f"2 runs, 2 of them recorded; {tmp_path}" in said and "step" not in told
    code, said, _ = run("sweep", "smoke", "--recorded", tmp_path, "--check")
    assert code == 0, "a record without losses cannot be checked"
    assert said == f"smoke: no such run is recorded with its first losses in {tmp_path}\n"


def test_side_by_side_starts_a_process_a_run(run, tmp_path, monkeypatch):
    started = []

    popen = subprocess.Popen

    def start(command, **_):
        started.append(command)
        return popen(["true" if "crosskd" in command else "false"])

    monkeypatch.setattr("crosskd_lab.runs.sweep.subprocess.Popen", start)
    monkeypatch.setattr("crosskd_lab.runs.sweep.scenes_of", lambda sweep: None)
    code, said, error = run("sweep", "smoke", "--side-by-side", 2, "--recorded", tmp_path)
    assert code == 1 and "2 runs tried, 0 of them done" in said
    why = "the same command without --side-by-side tries them again and says why"
    assert f"crosskd-lab: not done: crosskd-s0, kd-s0; {why}" in error
    words = sorted(command[command.index("sweep") :] for command in started)
    rest = ["--recorded", str(tmp_path), "--runs", "runs/sweeps"]
    assert words == [
        ["sweep", "smoke", "--only", row, "--seeds", "0", *rest] for row in ("crosskd", "kd")
    ]
