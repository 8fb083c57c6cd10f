"""A launched run: planned, started, stopped and resumed, whatever became of who started it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]

from ..engine.record import RECORD, finish_record, read_metrics, read_record
from ..errors import LabError
from ..files import (
    LAUNCH,
    LAUNCHED,
    PROJECT,
    find_kept,
    hand_over,
    holder,
    read_json,
    sole_writer,
    write_whole,
)
from . import slurm

if TYPE_CHECKING:
    import pandas as pd

    from .watch import Watch

PLAN, LOG, PROCESS = "launch.json", "launch.log", "process.json"
WORKER = "crosskd_lab.runs.worker"
PATHS = ("teacher.checkpoint", "teacher.config", "load_from", "student", "data.root")
"""Settings that may name a place, which is kept whole; what others name is kept as typed."""
OVER = ("done", "failed", "stopped", "interrupted")
ASK_EVERY = 10.0  # seconds between two questions to SLURM
GRACE = 40.0  # seconds; torchrun itself gives its workers 30


@dataclass(frozen=True)
class LaunchPlan:
    """How a run is started; enough to start it again.

    ``gpus`` and ``processes`` are those of a machine, ``nodes`` the machines, which meet at a
    ``port`` by a name (``meeting``) that no other job has. ``restarts`` is how often torchrun
    starts the processes again when one dies, ``steps`` the training steps (0: not known yet),
    ``threads`` those of each process. ``slurm`` has ``partition``, and ``account``, ``qos``,
    ``mem`` and ``time`` (minutes) where they were given. ``verb`` are words of ``crosskd-lab`` that
    make the run, where it is not the worker. The others are those of
    :func:`crosskd_lab.runs.launch.prepare`.
    """

    config: str
    folder: str
    settings: dict[str, Any] = field(default_factory=dict)
    data: str | None = None
    seed: int = 0
    gpus: int = 0
    processes: int = 1
    nodes: int = 1
    port: int | None = None
    meeting: str = "crosskd"
    restarts: int = 0
    steps: int = 0
    threads: int = 1
    slurm: dict[str, Any] = field(default_factory=dict)
    verb: list[str] = field(default_factory=list)

    def write(self) -> None:
        """Put the plan into the run's folder."""
        text = json.dumps(asdict(self), indent=2, default=str)
        write_whole(Path(self.folder) / PLAN, text + "\n")

    @classmethod
    def read(cls, folder: str | Path) -> LaunchPlan:
        """The plan of a run's folder, wherever it was moved to; LabError where there is none."""
        path = Path(folder) / PLAN
        if not path.is_file():
            raise LabError(
                f"{folder} was not launched: it has no {PLAN}; 'crosskd-lab runs' lists what "
                "there is"
            )
        known = {each.name: each.default for each in fields(cls)}  # an earlier version said more
        remedy = "restore it or delete the run"
        said = {k: v for k, v in read_json(path, remedy).items() if k in known}
        wrong = [k for k, v in said.items() if isinstance(known[k], int) and not isinstance(v, int)]
        if wrong or "config" not in said:
            raise LabError(f"{path} is broken (see its {', '.join(wrong) or 'config'}): {remedy}")
        return cls(**said | {"folder": str(folder)})

    def said(self) -> tuple[str, dict[str, Any], str | None, int]:
        """Config, settings, data and seed, with every place where it stands today.

        What is in the project comes before what has the same name in the folder that one is in.
        """
        settings = {
            key: find_kept(value) if key in PATHS and isinstance(value, str) else value
            for key, value in self.settings.items()
        }
        data = None if self.data is None else find_kept(self.data)
        return find_kept(self.config), settings, data, self.seed

    def line(self) -> str:
        """The command line to be typed by hand, where ``HEAD_NODE`` names the first machine."""
        words = self.command("python")
        cpu = ["CUDA_VISIBLE_DEVICES="] if self.nodes > 1 and not self.gpus else []
        said = [word if "$HEAD_NODE" in word else shlex.quote(word) for word in words]
        return " ".join([*cpu, *said])

    def command(self, python: str) -> list[str]:
        """The words of the command line that trains: the worker itself, or torchrun around it."""
        if self.verb:
            return [python, "-c", "from crosskd_lab.cli import main; main()", *self.verb]
        worker = ["-m", WORKER, self.folder]
        if self.processes * self.nodes == 1:
            return [python, *worker]
        meet = ["--standalone"]
        if self.port:
            head = "$HEAD_NODE" if self.nodes > 1 else "localhost"
            meet = ["--rdzv-backend=c10d", f"--rdzv-endpoint={head}:{self.port}"]
            meet += [f"--rdzv-id={self.meeting}"]
        many = [f"--nnodes={self.nodes}", f"--nproc-per-node={self.processes}"]
        many += [f"--max-restarts={self.restarts}"]
        return [python, "-m", "torch.distributed.run", *meet, *many, *worker]


def start(plan: LaunchPlan, lock: int) -> None:
    """Start the plan's command in a session of its own, its words going to the folder's log.

    Its number is noted with its time of birth and its host, without which it means nothing later or
    elsewhere. The folder's ``LAUNCH`` lock goes over to it and tells that it lives.
    """
    folder = Path(plan.folder)
    env = os.environ | {"OMP_NUM_THREADS": str(plan.threads), "PYTHONUNBUFFERED": "1"}
    env[LAUNCHED] = "1"
    if not plan.gpus:  # the CPU was asked for, also where there is a GPU
        env["CUDA_VISIBLE_DEVICES"] = ""
    env.setdefault("GOMP_SPINCOUNT", "10000")
    paths = [str(PROJECT), env.get("PYTHONPATH", "")]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    # mmengine's and mmcv's of themselves, in every process: the log is for what the run says
    known = "ignore:pkg_resources is deprecated as an API"
    env["PYTHONWARNINGS"] = ",".join(filter(None, [env.get("PYTHONWARNINGS"), known]))
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
    born, host = psutil.Process(process.pid).create_time(), socket.gethostname()
    write_whole(folder / PROCESS, json.dumps({"pid": process.pid, "born": born, "host": host}))
    threading.Thread(target=process.wait, daemon=True).start()  # so that no dead child lingers


def find(folder: str | Path) -> psutil.Process | None:
    """The run's process if it lives on this machine, None otherwise."""
    said = _said(folder)
    if not said or elsewhere(folder):
        return None
    try:
        process = psutil.Process(said["pid"])
        same = abs(process.create_time() - said["born"]) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, KeyError, TypeError):  # the lock tells where the note is broken
        return None


def is_alive(folder: str | Path) -> bool | None:
    """Whether a run's process lives, here or elsewhere; None where that cannot be known from here:
    some shared file systems keep the locks of other machines apart.
    """
    if holder(folder, LAUNCH) or holder(folder) or find(folder):
        return True
    return None if elsewhere(folder) else False


def elsewhere(folder: str | Path) -> str:
    """The machine or container that a run was started in, if that is another one; "" otherwise."""
    host = _said(folder).get("host", "")
    return "" if host == socket.gethostname() else host


def _said(folder: str | Path) -> dict[str, Any]:
    """What is noted of the run's process; nothing where it was never started."""
    path = Path(folder) / PROCESS
    return read_json(path, "delete it if the run is over") if path.exists() else {}


def workers(folder: str | Path) -> list[psutil.Process]:
    """Every process here that trains into a folder, also one whose torchrun was killed."""
    place, found = Path(folder).resolve(), []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words, cwd = process.info["cmdline"] or [], process.info["cwd"] or "/"
        if WORKER in words[:-1] and Path(cwd, words[-1]).resolve() == place:
            found.append(process)
    return found


def end(process: psutil.Process, grace: float = GRACE) -> None:
    """Ask a process to stop as a scheduler does (SIGTERM), and kill what is left of its family."""
    family = [process]
    with contextlib.suppress(psutil.NoSuchProcess):
        family += process.children(recursive=True)
        process.terminate()
    psutil.wait_procs([process], timeout=grace)
    for member in psutil.wait_procs(family, timeout=1)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(family, timeout=5)


class Run:
    """A handle on a run's folder; it holds nothing that the folder does not."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.plan = LaunchPlan.read(self.folder)

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Find a run again, whoever started it; LabError for a folder that was not launched."""
        return cls(folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}: {self.status}, step {self.step} of {self.steps})"

    @property
    def status(self) -> str:
        """One word for how the run stands.

        "waiting" (to be started elsewhere: by SLURM, which cannot be asked from here, or by hand),
        "starting" (its process lives, or its job is in the queue, and it has not begun to train),
        "running", "done", "failed" (by itself; :attr:`reason` says why),
        "stopped" (asked to, or a peer was lost), or "interrupted" (its process is gone and left no
        word: killed, or the machine went down).
        """
        alive = self._alive()
        if not (record := self._record()):
            return {True: "starting", False: "failed", None: "waiting"}[alive]
        said = str(record["status"])
        if said == "running" or alive:
            return "interrupted" if alive is False else "running"
        return said

    def _record(self) -> dict[str, Any]:
        return read_record(self.folder) if (self.folder / RECORD).exists() else {}

    def _alive(self) -> bool | None:
        """Whether its process lives; None where that cannot be known from here."""
        alive = is_alive(self.folder)
        if alive or (self.folder / PROCESS).exists() or (self.folder / LOG).exists():
            return alive
        job = slurm.submitted(self.folder)
        return slurm.queued(job) if job else None

    @property
    def reason(self) -> str | None:
        """Why a run failed, in one line; None where it did not."""
        if record := self._record():
            return record.get("reason")
        said = [line for line in self.tail(400).splitlines() if line.startswith("crosskd-lab:")]
        return said[-1].partition(": ")[2] if said else None

    @property
    def steps(self) -> int:
        """Steps of the whole run; 0 where it counts epochs and has not begun yet."""
        return self.plan.steps or int(self._record().get("extra", {}).get("steps", 0))

    @property
    def step(self) -> int:
        """The last step of which there is a row of metrics."""
        rows = self.metrics()
        return int(rows["step"].max()) if len(rows) else 0

    def metrics(self) -> pd.DataFrame:
        """Every row of metrics so far, see :func:`crosskd_lab.engine.record.read_metrics`."""
        return read_metrics(self.folder)

    def results(self) -> dict[str, float]:
        """The last validation of a run that is done, AP in points; empty before."""
        return dict(self._record().get("results") or {})

    def seconds_left(self) -> float | None:
        """Time left at the pace of the last steps, validations left out; None where unknown."""
        rows = self.metrics()
        if not len(rows) or "seconds_per_step" not in rows or not (steps := self.steps):
            return None
        pace = rows["seconds_per_step"].dropna().tail(5).mean()
        return float(pace * (steps - self.step)) if pace == pace else None

    def tail(self, lines: int = 20) -> str:
        """The end of the run's log; of a bar that was drawn again and again, its last state."""
        logs = [self.folder / LOG, *sorted((self.folder / slurm.LOGS).glob("*_log.*"))]
        logs = [path for path in logs if path.is_file()]
        if not logs:
            return ""
        path = max(logs, key=lambda path: path.stat().st_mtime)
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 400 * lines))
            text = log.read().decode("utf-8", "replace")
        shown = [line.rstrip("\r").rpartition("\r")[2] for line in text.rstrip("\n").split("\n")]
        return "\n".join(shown[-lines:])

    def wait(self, timeout: float | None = None) -> str:
        """Wait until the process has ended; its status then (or after ``timeout`` seconds)."""
        until = None if timeout is None else time.monotonic() + timeout
        if alive := find(self.folder):
            psutil.wait_procs([alive], timeout=timeout)
        elif (self.folder / slurm.JOB).exists():
            while self.status not in OVER and (until is None or time.monotonic() < until):
                time.sleep(ASK_EVERY)
        return self.status

    def stop(self) -> str:
        """Ask the run to end, its record closed; LabError where it cannot be reached from here."""
        for process in filter(None, [find(self.folder), *workers(self.folder)]):
            end(process)
        if self.status not in OVER and (job := slurm.submitted(self.folder)):
            slurm.cancel(job)
        elif self.status in ("starting", "running"):
            who = holder(self.folder) or holder(self.folder, LAUNCH)
            where = f"it runs as {who}" if who else f"it runs on {elsewhere(self.folder)}"
            if not who and self._by_hand():
                where = f"end it on each of its {self.plan.nodes} machines"
            raise LabError(f"{self.folder} cannot be stopped from here: {where}")
        if self.status == "interrupted":  # killed before it could say so itself
            finish_record(self.folder, "stopped", reason="stopped, and did not answer in time")
        return self.status

    def resume(self) -> Run:
        """Start the run again from its last whole checkpoint, where it was started before.

        LabError if it is running, or done, or has to be started by hand on several machines.
        """
        self.refuse_live()
        if self.status == "done":
            raise LabError(f"{self.folder} is done: launch another run with another --out")
        with sole_writer(self.folder, LAUNCH) as lock:  # one of two who ask at the same moment
            for stray in workers(self.folder):  # whose peers and torchrun were killed
                end(stray)
            if self.plan.slurm or slurm.submitted(self.folder):
                slurm.submit(self.plan)
            elif self.plan.nodes > 1:
                raise LabError(
                    f"{self.folder} was started by hand on {self.plan.nodes} machines: say again "
                    f"on each of them: {self.plan.line()}"
                )
            else:
                start(self.plan, lock)
        return self

    def refuse_live(self, waiting: bool = True) -> None:
        """Raise LabError where the run is, or may be, under way; ``waiting``: or to be started."""
        status = self.status
        waits = status == "waiting" and (waiting or slurm.submitted(self.folder))
        if waits or status in ("starting", "running"):
            what = ": watch it, or stop it first"
            if host := elsewhere(self.folder):
                note = self.folder / PROCESS
                what = f" on {host}: look there, or delete {note} if that machine is gone"
            elif self._by_hand() and not holder(self.folder):
                what = (
                    f", as far as can be told from here: end it on each of its {self.plan.nodes} "
                    f"machines, and start it there again: {self.plan.line()}"
                )
            raise LabError(f"{self.folder} is {status}{what}")

    def _by_hand(self) -> bool:
        """Whether it was to be started by hand on several machines: nothing here tells of it."""
        return self.plan.nodes > 1 and not self.plan.slurm and not (self.folder / PROCESS).exists()

    def watch(self, every: float = 2.0) -> Watch:
        """A live picture: curves, time left, GPUs, log; looked at ``every`` so many seconds."""
        from .watch import Watch

        return Watch(self, every)

    def state(self) -> dict[str, Any]:
        """What a table of runs shows of it."""
        left = self.seconds_left() if self.status == "running" else None
        return {"status": self.status, "step": self.step, "of": self.steps, "left": left}
