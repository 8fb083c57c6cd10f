"""``crosskd-lab launch``: what its words become, and what Ctrl-C does to who waits."""

import types
from pathlib import Path

import pytest


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


RECIPE = ("launch", "paper/table1_i3")


def test_ctrl_c_ends_the_waiting_and_says_how_to_end_the_training(launched, run):
    code, out, _ = run(*RECIPE, "--wait")
    assert code == 130 and "runs/x trains on: 'crosskd-lab runs --stop runs/x' stops it" in out
    assert run(*RECIPE)[0] == 0


@pytest.mark.parametrize("port", [-1, 0, 65536, 10**400])
def test_a_port_that_does_not_exist(launched, run, port):
    code, _, err = run(*RECIPE, "--port", port)
    assert code == 2 and "--port" in err and not launched


def test_what_is_asked_of_slurm(launched, run):
    words = "--slurm fast --account lab --qos long --time 2160 --mem 64G --cpus-per-gpu 6"
    assert run(*RECIPE, *words.split())[0] == 0
    (asked,) = launched
    wanted = dict(account="lab", qos="long", time=2160, mem="64G", cpus_per_gpu=6)
    assert asked["slurm"] == "fast" and asked["ask"] == wanted


@pytest.mark.parametrize("more", [["--stop", "b"], ["--compare"], ["--tail", "a", "--csv", "x"]])
def test_one_run_is_steered_at_a_time(run, more):
    said = "crosskd-lab: --tail, --stop and --resume are of one run: say nothing else beside\n"
    assert run("runs", "--resume", "a", *more) == (1, "", said)
