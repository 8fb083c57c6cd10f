"""A recorded row made again: its sweep's own command, in a process that belongs to no one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..declared import read_sweep
from ..errors import LabError
from ..files import LAUNCH, PROJECT, portable_path, sole_writer
from . import process
from .plan import LaunchPlan
from .run import Run

AGAIN = PROJECT / "runs" / "again"


@dataclass(frozen=True)
class RowPlan(LaunchPlan):
    """How a row is made again.

    Attributes:
        words: The command line after the interpreter's.
    """

    words: tuple[str, ...] = ()

    def command(self, python: str) -> list[str]:
        """The sweep's command line, which also measures AP on the test split and records it."""
        return [python, "-c", "from crosskd_lab.cli import main; main()", *self.words]


class RowRun(Run):
    """One row of a sweep with one seed, trained again from scratch beside the records.

    The run is a folder as any other, and ``<place>/<sweep>.jsonl`` gets its record. It computes on
    one thread, as the shipped records did: how sums are split decides how they are rounded.

    Args:
        sweep: A sweep's name.
        row: One of its rows.
        seed: Of the run; by default the first of the sweep.
        place: Folder of what is made again.

    Raises:
        LabError: for a sweep or row that is not declared.
    """

    def __init__(
        self, sweep: str, row: str, seed: int | None = None, place: str | Path = AGAIN
    ) -> None:
        declared = read_sweep(sweep)
        seed = declared.seeds[0] if seed is None else seed
        ((what, _),) = declared.plan([row], [seed])
        place = Path(place).absolute()
        words = ["sweep", sweep, "--only", row, "--seeds", str(seed)]
        words += ["--recorded", str(place), "--runs", str(place)]
        self.folder = place / declared.name / f"{row}-s{seed}"
        self.plan: RowPlan = RowPlan(
            what.config,
            str(self.folder),
            dict(what.settings),
            seed=seed,
            steps=int(what.settings["schedule.steps"]),
            words=tuple(words),
        )

    @property
    def command(self) -> str:
        """What to type for it, in the project's folder."""
        return " ".join(["crosskd-lab", *map(portable_path, self.plan.words)])

    def start(self) -> RowRun:
        """Begin, or go on where it was interrupted.

        Raises:
            LabError: if it is under way or done.
        """
        begun: Any = (self.folder / process.PROCESS).exists()
        if begun and self.status in ("starting", "running", "done"):
            raise LabError(f"{portable_path(self.folder)} is {self.status}: it is made again once")
        with sole_writer(self.folder, LAUNCH) as lock:
            process.start(self.plan, lock)
        return self
