"""Doing one job for many items in several processes, in order and without orphans."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from crosskd_lab.errors import LabError

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 16  # items handed over at a time; fewer than this are not worth a process


def ordered_map(
    work: Callable[[Item], Result], items: Sequence[Item], processes: int
) -> Iterator[Result]:
    """Yield `work(item)` in the order of the items, from fresh (spawned) processes if several.

    Raises:
        LabError: a process was killed or could not start.
    """
    processes = min(processes, len(items) // CHUNK)
    if processes < 2:
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_follow_parent)
    try:
        yield from pool.map(work, items, chunksize=CHUNK)
    except BrokenProcessPool as error:
        raise LabError(
            "a worker process was killed or could not start; run the same again to go on, "
            "with `processes` 1 if it repeats"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end as soon as the parent is gone, however it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
