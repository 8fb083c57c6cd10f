"""The training process itself: what it starts from, and what it will not start again."""

import types

import pytest
import torch

from crosskd_lab.engine.record import finish_record
from crosskd_lab.errors import LabError
from crosskd_lab.runs import worker
from crosskd_lab.runs.processes import LaunchPlan


def test_a_run_that_failed_by_itself_is_not_started_again(tmp_path, begin, monkeypatch):
    LaunchPlan("pocket/crosskd", str(tmp_path)).write()
    finish_record(begin(tmp_path), "failed", reason="step 3: loss_cls is nan")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    with pytest.raises(LabError, match="failed: step 3: loss_cls is nan"):
        worker.work(tmp_path)


def test_a_mistake_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["worker", str(tmp_path)])
    with pytest.raises(SystemExit, match="1"):
        worker.main()
    assert capsys.readouterr().err.startswith(f"crosskd-lab: {tmp_path} was not launched")


def test_an_error_of_another_kind_is_one_line_too_below_where_it_came_from(
    tmp_path, monkeypatch, capsys
):
    def broken(folder):
        raise RuntimeError("shapes differ\nand more")

    monkeypatch.setattr(worker, "work", broken)
    monkeypatch.setattr("sys.argv", ["worker", str(tmp_path)])
    with pytest.raises(SystemExit, match="1"):
        worker.main()
    said = capsys.readouterr().err
    assert "Traceback" in said and said.endswith("\ncrosskd-lab: shapes differ\n")


def test_it_computes_on_the_threads_that_were_said(tmp_path, monkeypatch):
    """Whoever started it: torchrun by hand says one, SLURM says nothing."""
    LaunchPlan("pocket/crosskd", str(tmp_path), threads=3).write()
    seen = []
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    monkeypatch.setattr(worker, "load_experiment", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        worker.work(tmp_path)
    assert seen == [3]


def test_its_record_says_the_command_that_makes_it_again(tmp_path, monkeypatch):
    settings = {"methods.0.i": 3, "schedule.steps": 4}
    plan = LaunchPlan("pocket/crosskd", str(tmp_path), settings, data="scenes", seed=7)
    plan.write()
    said = []
    cfg = types.SimpleNamespace(get=lambda *_: {})
    monkeypatch.setattr(worker, "load_experiment", lambda *_: cfg)
    monkeypatch.setattr(
        worker, "train", lambda cfg, folder, begun, words, extra: said.append(words)
    )
    worker.work(tmp_path)
    assert " ".join(said[0]) == (
        "crosskd-lab launch pocket/crosskd --gpus 0 --processes 1 --nodes 1 --seed 7 --data scenes "
        "--set methods.0.i=3 --set schedule.steps=4"
    )
