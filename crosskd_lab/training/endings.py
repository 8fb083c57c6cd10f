"""How a run ended: done, asked to stop, bereft of a peer, or failed by a fault of its own."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.dist import get_rank, get_world_size, is_main_process

from ..record import RECORD, finish_record, read_record

PEER_WORDS = ("gloo", "nccl", "connection closed by peer", "connection reset by peer")


def record_stop(folder: str | Path, reason: str) -> None:
    """Close the record of a run that could have gone on.

    The first process writes it, and never over a failure that another one has written: that one's
    end is what this one met.
    """
    folder = Path(folder)
    if not is_main_process() or not (folder / RECORD).exists():
        return
    if read_record(folder)["status"] == "running":
        finish_record(folder, "stopped", reason=reason)


def record_fault(folder: str | Path, error: BaseException) -> None:
    """Close the record of a run that met an error, in whichever of its processes.

    A fault of its own makes it "failed", and it would only fail again; a lost peer makes it
    "stopped".
    """
    folder = Path(folder)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if get_world_size() > 1 and peer_was_lost(error):
        record_stop(folder, lines[0])
    elif (folder / RECORD).exists():
        where = "" if is_main_process() else f" (process {get_rank()} of {get_world_size()})"
        finish_record(folder, "failed", reason=lines[0] + where)


def peer_was_lost(error: BaseException) -> bool:
    """Whether an error only says that another process is gone or cannot be reached."""
    if isinstance(error, torch.distributed.DistError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in said for word in PEER_WORDS)


@contextmanager
def terminated_as_exit() -> Iterator[None]:
    """A polite kill (SIGTERM) ends a run as Ctrl-C does, with its record closed."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
