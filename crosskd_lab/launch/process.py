"""A process of its own: started apart from everything, found again by anyone, ended as a whole."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from ..errors import LabError
from ..files import LAUNCH, PROJECT, hand_over, holder, read_json, write_whole
from .plan import LOG, WORKER, LaunchPlan

PROCESS = "process.json"
GRACE = 40.0  # seconds; torchrun itself gives its workers 30


def start(plan: LaunchPlan, lock: int) -> None:
    """Start the plan's command in a session of its own, its words going to the folder's log.

    The number of a process may be given to another one later, and means nothing on another machine
    or in another container, so its time of birth and where it lives are kept too.

    Args:
        plan: What to start.
        lock: The folder's ``LAUNCH`` lock; it goes over to the process and tells that it lives.
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
            pass_fds=[lock],
        )
    hand_over(lock, process.pid)
    _reap(process)
    said = {"pid": process.pid, "born": psutil.Process(process.pid).create_time(), **here()}
    write_whole(folder / PROCESS, json.dumps(said))


def here() -> dict[str, str]:
    """Where this process lives: ``host``, ``boot`` of its kernel, ``space`` of its numbers."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    host = socket.gethostname()
    return {
        "host": host,
        "boot": boot.read_text().strip() if boot.is_file() else host,
        "space": os.readlink(space) if space.is_symlink() else host,
    }


def find(folder: str | Path) -> psutil.Process | None:
    """The run's process if it is alive and can be met from here, None otherwise."""
    said = _said(folder)
    if any(said.get(name, at) != at for name, at in here().items() if name != "host"):
        return None
    try:
        process = psutil.Process(said["pid"])
        same = abs(process.create_time() - said["born"]) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None


def alive(folder: str | Path) -> bool | None:
    """Whether a run's process lives, here or elsewhere; None where that cannot be known from here.

    A lock that is held tells it, to all who share the folder. One that is free tells that no
    process of this kernel lives; some shared file systems keep the locks of other machines apart.
    """
    if holder(folder, LAUNCH) or holder(folder) or find(folder):
        return True
    return None if elsewhere(folder) else False


def elsewhere(folder: str | Path) -> str:
    """In words, the machine that a run was started on, if that is another one; "" otherwise."""
    if not (Path(folder) / PROCESS).exists():
        return ""
    said, path = _said(folder), Path(folder) / PROCESS
    if said and said.get("boot", here()["boot"]) == here()["boot"]:
        return ""
    host = said.get("host") or f"a machine that {path} should name"
    return f"on {host}: look there, or delete {path} if that machine is gone"


def _said(folder: str | Path) -> dict[str, Any]:
    """What is noted of the run's process; nothing where the note is missing or broken."""
    try:
        return read_json(Path(folder) / PROCESS, "delete it")
    except LabError:
        return {}


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
