"""A launched run, seen from anywhere: a notebook, another kernel, a terminal, a week later."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..errors import LabError
from ..files import LAUNCH, holder, sole_writer
from ..record import RECORD, finish_record, read_metrics, read_record
from . import process, slurm
from .plan import LOG, LaunchPlan

if TYPE_CHECKING:
    from ..widgets.watch import Watch

OVER = ("done", "failed", "stopped", "interrupted")
ASK_EVERY = 10.0  # seconds between two questions to SLURM


class Run:
    """A handle on a run's folder; it holds nothing that the folder does not.

    Args:
        folder: A folder that :func:`launch` has made. ``Run.open(folder)`` is the same.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.plan = LaunchPlan.read(self.folder)

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Find a run again, whoever started it.

        Raises:
            LabError: for a folder that was not launched.
        """
        return cls(folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}: {self.status}, step {self.step} of {self.steps})"

    @property
    def status(self) -> str:
        """One word for how the run stands.

        "waiting" (to be started elsewhere: by SLURM or by hand), "starting" (its process lives and
        has not begun to train), "running", "done", "failed" (by itself; :attr:`reason` says why),
        "stopped" (asked to, or a peer was lost), or "interrupted" (its process is gone and left no
        word: killed, or the machine went down).
        """
        alive = self._alive()
        if not (self.folder / RECORD).exists():
            return {True: "starting", False: "failed", None: "waiting"}[alive]
        said = read_record(self.folder)["status"]
        if said == "running" or alive:
            return "interrupted" if alive is False else "running"
        return said

    def _alive(self) -> bool | None:
        """Whether its process lives; None where that cannot be known from here."""
        alive = process.alive(self.folder)
        if alive or (self.folder / process.PROCESS).exists() or (self.folder / LOG).exists():
            return alive
        job = slurm.submitted(self.folder)
        return slurm.queued(job) if job else None

    @property
    def reason(self) -> str | None:
        """Why a run failed, in one line; None where it did not."""
        if (self.folder / RECORD).exists():
            return read_record(self.folder).get("reason")
        said = [line for line in self.tail(400).splitlines() if line.startswith("crosskd-lab:")]
        return said[-1].partition(": ")[2] if said else None

    @property
    def steps(self) -> int:
        """Steps of the whole run; 0 where it counts epochs and has not begun yet."""
        if self.plan.steps or not (self.folder / RECORD).exists():
            return self.plan.steps
        return int(read_record(self.folder)["extra"].get("steps", 0))

    @property
    def step(self) -> int:
        """The last step of which there is a row of metrics."""
        rows = self.metrics()
        return int(rows["step"].max()) if len(rows) else 0

    def metrics(self) -> pd.DataFrame:
        """Every row of metrics so far, see :func:`crosskd_lab.record.read_metrics`."""
        return read_metrics(self.folder)

    def results(self) -> dict[str, float]:
        """The last validation of a run that is done, AP in points; empty before."""
        record = read_record(self.folder) if (self.folder / RECORD).exists() else {}
        return dict(record.get("results") or {})

    def seconds_left(self) -> float | None:
        """Time left at the pace of the last steps, validations left out; None where unknown."""
        rows = self.metrics()
        if not len(rows) or "seconds_per_step" not in rows or not (steps := self.steps):
            return None
        pace = rows["seconds_per_step"].dropna().tail(5).mean()
        return float(pace * (steps - self.step)) if pace == pace else None

    def tail(self, lines: int = 20) -> str:
        """The end of the run's log."""
        logs = [self.folder / LOG, *sorted((self.folder / slurm.LOGS).glob("*_log.*"))]
        logs = [path for path in logs if path.is_file()]
        if not logs:
            return ""
        path = max(logs, key=lambda path: path.stat().st_mtime)
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 400 * lines))
            text = log.read().decode("utf-8", "replace")
        return "\n".join(text.replace("\r", "\n").splitlines()[-lines:])

    def wait(self, timeout: float | None = None) -> str:
        """Wait until the process has ended; its status then (or after ``timeout`` seconds)."""
        until = None if timeout is None else time.monotonic() + timeout
        if alive := process.find(self.folder):
            process.psutil.wait_procs([alive], timeout=timeout)
        elif (self.folder / slurm.JOB).exists():
            while self.status not in OVER and (until is None or time.monotonic() < until):
                time.sleep(ASK_EVERY)
        return self.status

    def stop(self) -> str:
        """Ask the run to end: at once, its record closed; :meth:`resume` goes on from there.

        Returns:
            The status after it.

        Raises:
            LabError: for a SLURM job, where this machine does not reach SLURM, and for a process
                of another machine or container.
        """
        if alive := process.find(self.folder):
            process.end(alive)
        for stray in process.workers(self.folder):
            process.end(stray)
        if self.status not in OVER and (job := slurm.submitted(self.folder)):
            slurm.cancel(job)
        elif self.status in ("starting", "running"):
            who = holder(self.folder) or holder(self.folder, LAUNCH)
            where = process.elsewhere(self.folder) or f"as {who or 'another machine says'}"
            raise LabError(f"{self.folder} cannot be stopped from here: it runs {where}")
        if self.status == "interrupted":  # killed before it could say so itself
            finish_record(self.folder, "stopped", reason="stopped, and did not answer in time")
        return self.status

    def resume(self) -> Run:
        """Start the run again from its last whole checkpoint, where it was started before.

        Raises:
            LabError: if it is running, or done, or has to be started by hand on several machines.
        """
        self.refuse_live()
        if self.status == "done":
            raise LabError(f"{self.folder} is done: launch another run with another --out")
        with sole_writer(self.folder, LAUNCH) as lock:  # one of two who ask at the same moment
            for stray in process.workers(self.folder):  # of a torchrun that was killed a moment ago
                process.end(stray)
            if self.plan.slurm or slurm.submitted(self.folder):
                slurm.submit(self.plan)
            elif self.plan.nodes > 1:
                raise LabError(
                    f"{self.folder} was started by hand on {self.plan.nodes} machines: say again "
                    f"on each of them: {' '.join(self.plan.command('python'))}"
                )
            else:
                process.start(self.plan, lock)
        return self

    def refuse_live(self, waiting: bool = True) -> None:
        """Raise LabError where the run is under way, or may be on a machine that is not this.

        Args:
            waiting: Also where it is to be started by hand.
        """
        status = self.status
        waits = status == "waiting" and (waiting or slurm.submitted(self.folder))
        if waits or status in ("starting", "running"):
            where = process.elsewhere(self.folder)
            what = f" {where}" if where else ": watch it, or stop it first"
            raise LabError(f"{self.folder} is {status}{what}")

    def watch(self, every: float = 2.0) -> Watch:
        """A live picture of the run: curves, time left, GPUs, the end of its log.

        Args:
            every: Seconds between two looks.

        Returns:
            A widget for a notebook; where none can run, its picture as it is now.
        """
        from ..widgets.watch import Watch

        return Watch(self, every)

    def state(self) -> dict[str, Any]:
        """What a table of runs shows of it."""
        left = self.seconds_left() if self.status == "running" else None
        return {"status": self.status, "step": self.step, "of": self.steps, "left": left}
