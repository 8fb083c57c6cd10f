"""Whose fault an end was, and who may write it down."""

import pytest
import torch

from crosskd_lab.engine import hooks as endings
from crosskd_lab.engine.record import finish_record, read_record, start_record
from crosskd_lab.errors import LabError

GLOO = RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4242")


@pytest.fixture
def run(tmp_path):
    start_record(
        tmp_path,
        **dict(command=["x"], config="", seed=0, data={"path": "d", "checksum": "1"}),
        **dict(teacher=None, methods=None),
    )
    return tmp_path


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


def test_alone_every_error_is_ones_own(run, process):
    process(0, 1)
    endings.record_fault(run, GLOO)
    assert ended(run)[0] == "failed"


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


def test_a_mistake_in_the_config_is_the_runs_fault_among_several_too(run, process):
    process(0, 2)
    endings.record_fault(run, RuntimeError("mat1 and mat2 shapes cannot be multiplied\ndetails"))
    assert ended(run) == ("failed", "mat1 and mat2 shapes cannot be multiplied")


def test_an_error_without_words_has_its_name(run, process):
    process(0, 1)
    endings.record_fault(run, AssertionError())
    assert ended(run) == ("failed", "AssertionError")


def test_without_a_record_there_is_nothing_to_close(tmp_path, process):
    process(0, 1)
    endings.record_fault(tmp_path, LabError("no data"))
    endings.record_stop(tmp_path, "interrupted")
    assert not list(tmp_path.iterdir())


def test_what_is_done_stays_done(run, process):
    process(0, 1)
    finish_record(run, "done", results={"AP": 1.0})
    endings.record_stop(run, "interrupted")
    assert ended(run) == ("done", None)
