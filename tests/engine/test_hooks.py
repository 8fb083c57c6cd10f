"""Hooks: losses guarded, methods' parts beside the student, rows, checkpoints, whose fault."""

import os
from types import SimpleNamespace

import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.hooks import EMAHook
from mmengine.runner import get_priority
from torch import nn

from crosskd_lab.engine import hooks as endings
from crosskd_lab.engine.hooks import (
    WHOLE,
    LossGuard,
    MethodState,
    RunMetrics,
    last_checkpoint,
    saved_step,
    steps_done,
)
from crosskd_lab.engine.record import (
    append_metrics,
    finish_record,
    read_metrics,
    read_record,
)
from crosskd_lab.errors import LabError


class Student(nn.Module):
    """One stock weight, one of a method, and a teacher to name."""

    def __init__(self, teacher: str = "a" * 64) -> None:
        super().__init__()
        self.neck = nn.Linear(1, 1, bias=False)
        self.methods = nn.ModuleList([nn.Linear(2, 1, bias=False)])
        self.pair = SimpleNamespace(teacher_id={"checkpoint": "t.pth", "sha256": teacher})


def runner(folder, **entries):
    rates = SimpleNamespace(get_lr=lambda: {"lr": [0.02]})
    known = {"iter": 6, "rank": 0, "work_dir": str(folder), "_resume": False}
    known |= {"model": Student(), "train_loop": SimpleNamespace(), "said": [], "val_loop": None}
    known["message_hub"] = SimpleNamespace(update_scalar=lambda *row: known["said"].append(row))
    return SimpleNamespace(**{**known, "optim_wrapper": rates, **entries})


def losses(**values):
    return {name: torch.tensor(value) for name, value in values.items()}


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_the_guard_names_the_term_not_the_sum(tmp_path, bad):
    value = float(bad)
    with pytest.raises(LabError, match=f"^step 7: loss_kd_cls is {bad}; "):
        LossGuard().after_train_iter(
            runner(tmp_path), 6, None, losses(loss=value, loss_box=1.0, loss_kd_cls=value)
        )


def test_the_guard_lets_finite_losses_and_statistics_pass(tmp_path):
    LossGuard().after_train_iter(runner(tmp_path), 6, None, losses(loss=1e30, score=float("nan")))
    with pytest.raises(LabError, match="^step 7: loss is nan; "):
        LossGuard().after_train_iter(runner(tmp_path), 6, None, losses(loss=float("nan"), x=1.0))


def test_numbers_are_read_late_and_none_is_lost(tmp_path):
    guard, run = LossGuard(every=10), runner(tmp_path)
    run.optim_wrapper.grad_name = "grad_norm"
    run.optim_wrapper.clip_func = lambda value: torch.tensor(value)
    guard.before_train(run)

    def step(number: int, loss: float) -> None:
        run.iter = number - 1
        assert run.optim_wrapper.clip_func(number / 2) is None  # mmengine would read a norm
        guard.after_train_iter(run, 0, None, losses(loss=loss))

    step(7, 0.7)
    step(8, 0.8)
    assert not run.said
    guard.before_save_checkpoint(run, {"state_dict": {}})
    known = [(name, round(value, 6)) for name, value in run.said]
    assert known == [
        *(("train/loss", 0.7), ("train/grad_norm", 3.5)),
        *(("train/loss", 0.8), ("train/grad_norm", 4.0)),
    ]
    step(9, float("nan"))
    with pytest.raises(LabError, match="^step 9: loss is nan; "):
        step(10, 1.0)
    run.model.logged = True
    step(11, 1.1)
    assert run.said[-1] == ("train/grad_norm", 5.5)


def test_the_guard_keeps_broken_weights_out_of_checkpoints(tmp_path):
    torch.save({}, tmp_path / "iter_5.pth")
    weights = {"a": torch.ones(2), "b": torch.tensor([1.0, float("inf")])}
    with pytest.raises(LabError, match="weight b is no longer finite") as error:
        LossGuard().before_save_checkpoint(runner(tmp_path), {"state_dict": weights})
    assert str(tmp_path / "iter_5.pth") in str(error.value)
    LossGuard().before_save_checkpoint(runner(tmp_path), {"state_dict": {"a": torch.ones(2)}})


def test_parts_of_methods_leave_the_student_and_come_back(tmp_path):
    run = runner(tmp_path)
    checkpoint = {"state_dict": dict(run.model.state_dict())}
    MethodState().before_save_checkpoint(run, checkpoint)
    assert list(checkpoint["state_dict"]) == ["neck.weight"]
    MethodState().after_load_checkpoint(runner(tmp_path, _resume=True), checkpoint)
    assert sorted(checkpoint["state_dict"]) == ["methods.0.weight", "neck.weight"]


def test_beside_an_average_of_the_weights_they_come_back_too(tmp_path):
    """mmengine's EMAHook saves the average as the student, and swaps the two when it resumes."""
    run, average = runner(tmp_path), EMAHook()
    assert get_priority(average.priority) < get_priority(MethodState.priority)
    run.model.neck.weight.data.fill_(1.0)
    run.model.methods[0].weight.data.fill_(2.0)
    average.before_run(run)
    average.ema_model.module.neck.weight.data.fill_(10.0)
    average.ema_model.module.methods[0].weight.data.fill_(20.0)
    checkpoint = {"state_dict": dict(run.model.state_dict())}
    for hook in (average, MethodState()):
        hook.before_save_checkpoint(run, checkpoint)
    assert {key: value.mean() for key, value in checkpoint["state_dict"].items()} == {
        "neck.weight": 10.0  # the student that is kept
    }
    again, average = runner(tmp_path, _resume=True), EMAHook()
    average.before_run(again)
    for hook in (average, MethodState()):
        hook.after_load_checkpoint(again, checkpoint)
    found = {key: value.mean() for key, value in checkpoint["state_dict"].items()}
    assert found == {"neck.weight": 1.0, "methods.0.weight": 2.0}
    assert average.ema_model.module.neck.weight.item() == 10.0


def test_a_bare_student_starts_a_run_with_methods_but_a_misfit_does_not(tmp_path):
    bare = {"state_dict": {"neck.weight": torch.ones(1, 1)}}
    MethodState().after_load_checkpoint(runner(tmp_path), bare)
    assert list(bare["state_dict"]) == ["neck.weight"]
    for weights in ({"neck.weight": torch.ones(2, 1)}, {}, {"nec.weight": torch.ones(1, 1)}):
        with pytest.raises(LabError, match=r"checkpoint load_from has .* neck\.weight: it belongs"):
            MethodState().after_load_checkpoint(runner(tmp_path), {"state_dict": weights})


def test_a_run_is_resumed_with_its_own_teacher_only(tmp_path):
    checkpoint = {"state_dict": dict(Student().state_dict())}
    MethodState().before_save_checkpoint(runner(tmp_path), checkpoint)
    other = {"model": Student("b" * 64)}
    with pytest.raises(LabError, match="another file"):
        MethodState().after_load_checkpoint(runner(tmp_path, _resume=True, **other), checkpoint)
    MethodState().after_load_checkpoint(runner(tmp_path, **other), checkpoint)  # a new run may


def test_rows_come_at_their_interval_and_go_to_listeners(tmp_path):
    hook, heard, logged = RunMetrics(every=3), [], []
    hook.listeners.append(heard.append)
    for row in range(1, 9):
        append_metrics(tmp_path, {"step": row, "kind": "train"})
    hook.before_train(runner(tmp_path, iter=2))  # resumed after step 2: rows 3 ... 8 are dropped
    for step in range(2, 8):
        at = runner(tmp_path, iter=step)
        hook.before_train_iter(at, step)
        logged += [step + 1] if at.model.logged else []
        hook.after_train_iter(at, step, None, losses(loss=step / 2))
    hook.after_val_epoch(runner(tmp_path, iter=8), {"AP": 1.5, "APL": -100.0, "l1": None})
    rows = read_metrics(tmp_path)
    assert rows["step"].tolist() == [1, 2, 3, 6, 8]
    assert rows["loss"].tolist()[2:4] == [1.0, 2.5]
    assert [row["step"] for row in heard] == [3, 6, 8] and logged == [3, 6]
    assert heard[-1] == {"step": 8, "kind": "val", "AP": 1.5}
    assert heard[0]["lr"] == 0.02 and heard[0]["seconds_per_step"] >= 0


def test_seconds_are_those_of_the_steps_since_the_clock_began(tmp_path, monkeypatch):
    """After a validation between two rows it begins anew, with fewer steps to come."""
    now, hook = [0.0], RunMetrics(every=10)
    monkeypatch.setattr("crosskd_lab.engine.hooks.time.perf_counter", lambda: now[0])
    hook.before_train(runner(tmp_path, iter=0))
    for step in range(30):
        now[0] += 1.0  # each step takes a second, the validation a hundred
        hook.after_train_iter(runner(tmp_path, iter=step), step, None, losses(loss=1.0))
        if step + 1 == 25:
            now[0] += 100
            hook.after_val_epoch(runner(tmp_path, iter=25), {"AP": 1.0})
    rows = read_metrics(tmp_path).query("kind == 'train'")
    assert rows["seconds_per_step"].tolist() == [1.0, 1.0, 1.0]


def test_steps_done_are_steps_also_where_checkpoints_count_epochs(tmp_path):
    assert steps_done(tmp_path) == 0
    append_metrics(tmp_path, {"step": 40, "kind": "train"})
    for name, steps in (("epoch_2.pth", 40), ("iter_30.pth", 30)):
        torch.save({}, tmp_path / name)
        assert steps_done(tmp_path) == steps


GLOO = RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4242")


@pytest.fixture
def run(tmp_path, begin):
    return begin(tmp_path)


@pytest.fixture
def process(monkeypatch):
    """``process(1, 2)``: this is the second of two."""

    def be(rank, world):
        monkeypatch.setattr(endings, "get_rank", lambda: rank)
        monkeypatch.setattr(endings, "get_world_size", lambda: world)
        monkeypatch.setattr(endings, "is_main_process", lambda: rank == 0)

    return be


def ended(folder):
    record = read_record(folder)
    return record["status"], record.get("reason")


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (GLOO, True),
        (torch.distributed.DistBackendError("NCCL error: remote process exited"), True),
        (torch.distributed.DistNetworkError("the client socket has timed out"), True),
        (RuntimeError("shape '[2, 3]' is invalid for input of size 5"), False),
        (LabError("step 3: loss_cls is nan"), False),
        (ValueError("gloo"), False),
        (torch.OutOfMemoryError("CUDA out of memory"), False),
    ],
)
def test_a_lost_peer_is_known_when_seen(error, lost):
    assert endings.peer_was_lost(error) == lost


@pytest.mark.parametrize(
    ("processes", "error", "reason"),
    [
        (1, GLOO, str(GLOO)),
        (1, AssertionError(), "AssertionError"),
        (2, RuntimeError("mat1 and mat2 do not fit\ndetails"), "mat1 and mat2 do not fit"),
    ],
)
def test_an_error_of_ones_own_fails_the_run(run, process, processes, error, reason):
    process(0, processes)
    endings.record_fault(run, error)
    assert ended(run) == ("failed", reason)


def test_a_lost_peer_stops_the_run(run, process):
    process(1, 2)
    endings.record_fault(run, GLOO)
    assert ended(run) == ("running", None), "the first process writes it"
    process(0, 2)
    endings.record_fault(run, GLOO)
    assert ended(run) == ("stopped", "another process of this run is gone")
    endings.record_stop(run, "torchrun was killed")
    endings.record_stop(run, "interrupted")
    assert ended(run) == ("stopped", "torchrun was killed"), "why, as soon as it is known"


def test_the_fault_of_any_process_is_the_runs(run, process):
    process(1, 2)
    endings.record_fault(run, LabError("step 3: loss_cls is nan"))
    assert ended(run) == ("failed", "step 3: loss_cls is nan (process 1 of 2)")
    process(0, 2)
    endings.record_fault(run, GLOO)  # what the first process sees of it
    endings.record_stop(run, "interrupted")  # and what torchrun then sends
    assert ended(run) == ("failed", "step 3: loss_cls is nan (process 1 of 2)")


def test_without_a_record_there_is_nothing_to_close(tmp_path, process):
    process(0, 1)
    endings.record_fault(tmp_path, LabError("no data"))
    endings.record_stop(tmp_path, "interrupted")
    assert not list(tmp_path.iterdir())


def test_what_is_done_stays_done(run):
    finish_record(run, "done", results={"AP": 1.0})
    endings.record_stop(run, "interrupted")
    assert ended(run) == ("done", None)


def test_the_newest_is_found_by_number_not_by_name(tmp_path, capsys):
    assert last_checkpoint(tmp_path) is None
    assert last_checkpoint(tmp_path / "none") is None
    for name in ("iter_900.pth", "iter_1000.pth", ".iter_2000.pth.77.part", "best_iter_3000.pth"):
        torch.save({}, tmp_path / name)
    assert last_checkpoint(tmp_path) == tmp_path / "iter_1000.pth"
    whole = (tmp_path / "iter_1000.pth").read_bytes()
    (tmp_path / "iter_1000.pth").write_bytes(whole[: len(whole) // 2])
    assert last_checkpoint(tmp_path) == tmp_path / "iter_900.pth", "it took one that was cut short"
    assert "iter_1000.pth is damaged: iter_900.pth is taken" in capsys.readouterr().err
    (tmp_path / "iter_900.pth").write_bytes(b"")
    with pytest.raises(LabError, match="iter_1000.pth, iter_900.pth damaged, none is whole"):
        last_checkpoint(tmp_path)
    assert saved_step(tmp_path / "iter_1000.pth") == 1000
    assert saved_step(None) == 0


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    backend = get_file_backend(backend_args={"backend": WHOLE})
    file = tmp_path / "run" / "iter_1.pth"
    backend.put(b"old", str(file))

    def fails(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(LabError, match="disk full"):
        backend.put(b"new", str(file))
    assert file.read_bytes() == b"old"
    assert [path.name for path in file.parent.iterdir()] == ["iter_1.pth"]
