"""``crosskd-lab launch``: what its words become, and what Ctrl-C does to who waits."""

import types
from pathlib import Path

import pytest

from crosskd_lab import cli


@pytest.fixture
def launched(monkeypatch):
    """What the library is asked for, instead of a launch; its run is interrupted by Ctrl-C."""
    asked = []

    def wait():
        raise KeyboardInterrupt

    def launch(recipe, **words):
        asked.append(words)
        return types.SimpleNamespace(status="starting", folder=Path("runs/x"), wait=wait)

    monkeypatch.setattr("crosskd_lab.runs.launch.launch", launch)
    return asked


def run(*words):
    with pytest.raises(SystemExit) as ended:
        cli.main(["launch", "paper/table1_i3", *words])
    return ended.value.code or 0


def test_ctrl_c_ends_the_waiting_and_says_how_to_end_the_training(launched, capsys):
    assert run("--wait") == 130
    assert "runs/x trains on: 'crosskd-lab runs --stop runs/x' stops it" in capsys.readouterr().out
    assert run() == 0


def test_what_is_asked_of_slurm(launched):
    words = "--slurm fast --account lab --qos long --time 2160 --mem 64G --cpus-per-gpu 6"
    assert run(*words.split()) == 0
    (asked,) = launched
    wanted = dict(account="lab", qos="long", time=2160, mem="64G", cpus_per_gpu=6)
    assert asked["slurm"] == "fast" and asked["ask"] == wanted


@pytest.mark.parametrize("more", [["--stop", "b"], ["--compare"], ["--tail", "a", "--csv", "x"]])
def test_one_run_is_steered_at_a_time(capsys, more):
    with pytest.raises(SystemExit) as ended:
        cli.main(["runs", "--resume", "a", *more])
    assert ended.value.code == 1
    said = "crosskd-lab: --tail, --stop and --resume are of one run: say nothing else beside\n"
    assert capsys.readouterr().err == said
