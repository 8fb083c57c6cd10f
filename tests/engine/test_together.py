"""Runs that train side by side end as each would alone, to the bit; and stop and go on together."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from crosskd_lab.engine import together
from crosskd_lab.engine import train as engine
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.record import read_metrics, read_record
from crosskd_lab.engine.resident import fix_shapes
from crosskd_lab.engine.together import Together, train_together
from crosskd_lab.engine.train import prepare_engine, train
from crosskd_lab.errors import LabError
from crosskd_lab.pair import Pair

SMALL = {"schedule.batch": 2, "data.size": 96, "schedule.steps": 4, "schedule.warmup": 2}
SMALL |= {"schedule.validate_every": 2}
METHODS = ("none", "kd", "crosskd", "crosskd_pkd")


def plan(folder, scenes_dir, methods=METHODS, **more):
    prepare_engine()
    return [
        {"cfg": load_experiment(f"pocket/{m}", SMALL | more, scenes_dir, 0), "folder": folder / m}
        for m in methods
    ]


def weights(folder):
    return torch.load(folder / "iter_4.pth", weights_only=False)["state_dict"]


def rows(folder):
    return read_metrics(folder).drop(columns="seconds_per_step", errors="ignore")


def same(a, b):
    one, other = weights(a), weights(b)
    assert one.keys() == other.keys()
    unlike = [name for name in one if not torch.equal(one[name], other[name])]
    assert not unlike, f"{a.name}: {unlike[:3]} of {len(one)}"
    assert rows(a).equals(rows(b))


pytestmark = pytest.mark.usefixtures("one_thread")  # but where a test asks for two


@pytest.fixture
def two_threads(one_thread):
    """On a CPU as many processes as threads."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, scenes_dir, one_thread):
    """Each student trained by itself."""
    folder = tmp_path_factory.mktemp("alone")
    for arguments in plan(folder, scenes_dir):
        train(**arguments)
    return folder


def test_each_student_is_what_it_is_alone(alone, tmp_path, scenes_dir, monkeypatch):
    looks = []
    look = Pair.teacher_step
    monkeypatch.setattr(
        Pair,
        "teacher_step",
        lambda self, *batch: (looks.append(self.student.training), look(self, *batch))[1],
    )
    results = train_together(plan(tmp_path, scenes_dir))
    for name, found in zip(METHODS, results, strict=True):
        same(alone / name, tmp_path / name)
        assert found["AP"] == rows(alone / name)["AP"].iloc[-1]
    assert looks.count(True) == 4, "a batch is seen once by the teacher of three students"


def test_a_teacher_in_another_precision_is_another_teacher(alone, tmp_path, scenes_dir):
    (half,) = plan(tmp_path / "alone", scenes_dir, ["kd"], precision="bf16")
    train(**half)
    runs = plan(tmp_path, scenes_dir, ["kd"])
    runs += plan(tmp_path / "half", scenes_dir, ["kd"], precision="bf16")
    train_together(runs)
    same(alone / "kd", tmp_path / "kd")
    same(tmp_path / "alone" / "kd", tmp_path / "half" / "kd")


def test_fixed_steps_and_usual_ones_go_side_by_side(tmp_path, scenes_dir, monkeypatch):
    """On a GPU CrossKD's step has fixed shapes, FGD's has not: they have batches of two kinds."""
    build = engine.build_runner

    def fixed(cfg, folder, **more):
        runner = build(cfg, folder, **more)
        fixed.found.append(fix_shapes(runner))
        return runner

    fixed.found = []
    for name in ("alone", "together"):
        runs = plan(tmp_path / name, scenes_dir, ("crosskd", "fgd"), fast=True)
        if name == "alone":
            for run in runs:
                train(**run)
        else:
            monkeypatch.setattr(engine, "build_runner", fixed)
            train_together(runs)
    assert fixed.found == [True, False], "FGD looks at the objects of each image"
    for name in ("crosskd", "fgd"):
        same(tmp_path / "alone" / name, tmp_path / "together" / name)


def test_students_stop_and_go_on_together_from_unlike_steps(alone, tmp_path, scenes_dir):
    def stop(row):
        if row["step"] == 2 and row["kind"] == "val":
            raise KeyboardInterrupt

    runs = plan(tmp_path, scenes_dir)
    runs[1]["listeners"] = [stop]  # the second: the first has saved step 2, the others have not
    with pytest.raises(KeyboardInterrupt):
        train_together(runs)
    assert {read_record(tmp_path / m)["status"] for m in METHODS} == {"stopped"}
    assert [len(list((tmp_path / m).glob("iter_*.pth"))) for m in METHODS] == [1, 1, 0, 0]
    train_together([{**arguments, "resume": True} for arguments in plan(tmp_path, scenes_dir)])
    for name in METHODS:
        same(alone / name, tmp_path / name)


def test_the_first_error_stops_all_and_is_raised(tmp_path, scenes_dir):
    runs = plan(tmp_path, scenes_dir, ("none", "kd"))
    runs[1]["cfg"] = load_experiment("pocket/kd", {**SMALL, "schedule.lr": 1e9}, scenes_dir, 0)
    with pytest.raises(Exception, match="the run stops before its first checkpoint"):
        train_together(runs)
    assert read_record(tmp_path / "kd")["status"] == "failed"
    assert read_record(tmp_path / "none")["status"] == "stopped"


def test_the_run_that_is_behind_is_next_and_what_is_shared_is_made_once():
    turns = Together(2)
    assert turns.next() == 0
    turns.steps[0] = 5
    assert turns.next() == 1
    turns.steps[1] = 3
    made = []
    for _ in range(2):
        turns.once("batch", 5, lambda: made.append(1))
    assert made == [1]
    turns.once("batch", 2, lambda: None)
    turns.once("batch", 6, lambda: None)
    assert sorted(turns.kept["batch"]) == [5, 6], "all are past step 2"


def test_two_processes_end_as_one_does(alone, tmp_path, scenes_dir, two_threads, capfd):
    told, runs = [], plan(tmp_path, scenes_dir, METHODS[1:])  # kd and crosskd_pkd here
    for name, run in zip(METHODS[1:], runs, strict=True):
        run["listeners"] = [lambda row, name=name: told.append((name, row["step"], row["kind"]))]
    results = train_together(runs)
    for name, found in zip(METHODS[1:], results, strict=True):
        same(alone / name, tmp_path / name)
        assert found["AP"] == rows(alone / name)["AP"].iloc[-1]
        assert read_record(tmp_path / name)["extra"]["threads"] == 1
        assert [line for line in told if line[0] == name] == [(name, 2, "val"), (name, 4, "val")]
    assert torch.get_num_threads() == 2
    assert "Traceback" not in capfd.readouterr().err


def test_the_other_process_ends_with_the_first_and_both_go_on(
    alone, tmp_path, scenes_dir, two_threads, child, until
):
    work = """
import torch, sys
from pathlib import Path
from test_together import plan, train_together
torch.set_num_threads(2)
runs = plan(*map(Path, sys.argv[1:]), ("none", "kd"))
runs[1]["listeners"] = [lambda row: print("told", flush=True)]
train_together(runs)
"""
    first = child(work, tmp_path, scenes_dir, path=[os.path.dirname(__file__)])
    # kd, in the other process, has a checkpoint then
    until(lambda: first.out.exists() and "told" in first.out.read_text())
    first.process.kill()
    assert first.end()[0] == -signal.SIGKILL
    until(lambda: read_record(tmp_path / "kd")["status"] != "running")
    assert read_record(tmp_path / "kd")["status"] in ("stopped", "done")
    runs = [
        {**arguments, "resume": True} for arguments in plan(tmp_path, scenes_dir, ("none", "kd"))
    ]
    left = [run for run in runs if read_record(run["folder"])["status"] != "done"]
    train_together(left, among=2)
    same(alone / "none", tmp_path / "none")
    same(alone / "kd", tmp_path / "kd")


def test_what_no_other_process_can_import_stays_in_one(monkeypatch, two_threads):
    turns = []
    monkeypatch.setattr(together, "_in_turn", lambda runs, between: turns.append(runs) or [{}] * 2)
    runs = [{"cfg": {"type": kind}} for kind in ("crosskd_lab.methods.pkd.PKD", "__main__.Mine")]
    assert train_together(runs) == [{}, {}] and turns == [runs]


def test_a_fault_in_the_other_process_is_raised_here(tmp_path, scenes_dir, two_threads):
    runs = plan(tmp_path, scenes_dir, ("none", "kd"))
    runs[1]["cfg"] = load_experiment("pocket/kd", {**SMALL, "schedule.lr": 1e9}, scenes_dir, 0)
    with pytest.raises(LabError, match="the run stops before its first checkpoint"):
        train_together(runs)
    assert read_record(tmp_path / "kd")["status"] == "failed"
    assert read_record(tmp_path / "none")["status"] in ("stopped", "done")  # it may be quicker
