"""A process of its own: started apart from everything, found again by anyone, ended as a whole."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from ..files import PROJECT, write_whole
from .plan import LOG, WORKER, LaunchPlan

PROCESS = "process.json"
GRACE = 40.0  # seconds; torchrun itself gives its workers 30


def start(plan: LaunchPlan) -> None:
    """Start the plan's command in a session of its own, its words going to the folder's log.

    The number of a process may be given to another one later, so its time of birth is kept too.
    """
    folder = Path(plan.folder)
    env = os.environ | {"OMP_NUM_THREADS": str(plan.threads), "PYTHONUNBUFFERED": "1"}
    env.setdefault("GOMP_SPINCOUNT", "10000")
    paths = [str(PROJECT), env.get("PYTHONPATH", "")]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            plan.command(sys.executable),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    _reap(process)
    born = psutil.Process(process.pid).create_time()
    write_whole(folder / PROCESS, json.dumps({"pid": process.pid, "born": born}))


def find(folder: str | Path) -> psutil.Process | None:
    """The run's process if it is alive on this machine, None otherwise."""
    path = Path(folder) / PROCESS
    if not path.is_file():
        return None
    said = json.loads(path.read_text("utf-8"))
    try:
        process = psutil.Process(said["pid"])
        same = abs(process.create_time() - said["born"]) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def workers(folder: str | Path) -> list[psutil.Process]:
    """Every process on this machine that trains into a folder, whoever started it.

    One whose torchrun was killed is among them: it may live for a moment longer.
    """
    place, found = Path(folder).resolve(), []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words, cwd = process.info["cmdline"] or [], process.info["cwd"] or "/"
        if WORKER in words[:-1] and Path(cwd, words[-1]).resolve() == place:
            found.append(process)
    return found


def follow(parent: int, then: Callable[[], object], every: float = 1.0) -> None:
    """End this process when its parent is gone, as SIGTERM does; where it hangs, without asking.

    torchrun's own end takes its workers with it, a kill of torchrun does not: they would train on
    in a folder that looks deserted.

    Args:
        parent: Number of the parent's process.
        then: Called first.
        every: Seconds between two looks.
    """

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        try:
            then()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(GRACE / 2)  # a process that waits for a peer hears no signal
            os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def end(process: psutil.Process, grace: float = GRACE) -> None:
    """Ask a process to stop as a scheduler does (SIGTERM), and kill what is left of its family."""
    family = [process, *_children(process)]
    with contextlib.suppress(psutil.Error):
        process.terminate()
    deadline = time.monotonic() + grace
    psutil.wait_procs([process], timeout=grace)
    for member in psutil.wait_procs(family, timeout=max(0.0, deadline - time.monotonic()))[1]:
        with contextlib.suppress(psutil.Error):
            member.kill()
    psutil.wait_procs(family, timeout=5)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Take the exit code when it comes, so that no dead child of this process lingers."""
    threading.Thread(target=process.wait, daemon=True).start()
