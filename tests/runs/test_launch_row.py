"""A row made again runs its sweep's own command; what is shown is what is started."""

import sys

import pytest

from crosskd_lab.cli import _app
from crosskd_lab.errors import LabError
from crosskd_lab.runs import processes as process
from crosskd_lab.runs.launch import AGAIN, RowRun
from crosskd_lab.runs.processes import LaunchPlan


def test_the_command_is_one_that_the_cli_understands():
    import typer

    run = RowRun("table1", "crosskd_3")
    assert run.command == (
        "crosskd-lab sweep table1 --only crosskd_3 --seeds 0 "
        "--recorded runs/again --runs runs/again"
    )
    words = run.command.split()[1:]
    group = typer.main.get_command(_app(words))
    with group.make_context("crosskd-lab", list(words)) as context:
        name, verb, rest = group.resolve_command(context, list(words))
        given = verb.make_context(name, rest, parent=context).params
    assert (given["file"], given["only"], given["seeds"]) == ("table1", ["crosskd_3"], "0")
    assert str(given["recorded"]) == str(given["runs"]) == "runs/again"
    # What is started says the same with the whole path, wherever the notebook lies.
    assert run.plan.command("python")[3:-3] == words[:-3]
    assert run.plan.verb[-1] == str(AGAIN) and run.steps == 240


@pytest.fixture
def short(monkeypatch):
    """Instead of a sweep, a process that says a word and ends."""
    monkeypatch.setattr(
        LaunchPlan, "command", lambda self, python: [sys.executable, "-c", "print('made again')"]
    )


def test_it_runs_apart_and_leaves_its_log(short, tmp_path):
    run = RowRun("smoke", "kd", place=tmp_path).start()
    assert run.folder == tmp_path / "smoke" / "kd-s0"
    run.wait(30)
    assert run.tail() == "made again"
    assert run.status == "failed", "it ended without having trained"


def test_it_is_not_started_twice_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setattr(
        LaunchPlan,
        "command",
        lambda self, python: [sys.executable, "-c", "import time; time.sleep(60)"],
    )
    run = RowRun("smoke", "kd", place=tmp_path).start()
    try:
        with pytest.raises(LabError, match="is starting"):
            RowRun("smoke", "kd", place=tmp_path).start()
    finally:
        process.end(process.find(run.folder))


def test_what_is_not_declared_is_refused(tmp_path):
    with pytest.raises(LabError, match="no row 'nothing'"):
        RowRun("smoke", "nothing", place=tmp_path)
