"""What is to be started: one plain record, written into the run's folder before anything runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import LabError
from ..files import read_json, write_whole

PLAN, LOG = "launch.json", "launch.log"
WORKER = "crosskd_lab.runs.worker"


@dataclass(frozen=True)
class LaunchPlan:
    """How a run is started; enough to start it again.

    Attributes:
        config, folder, settings, data, seed: As for :func:`crosskd_lab.runs.launch.launch`.
        gpus, processes, nodes: GPUs and processes a machine, and machines.
        port: Where the machines meet; None lets torchrun choose (one machine only).
        meeting: By what name they meet, so that two jobs never do.
        restarts: How often torchrun starts the processes again when one of them dies.
        steps: Training steps, for the time left.
        threads: CPU threads of each process.
        weights: Addresses of the weights that it begins with, read before the start.
        slurm: What is asked of SLURM: ``partition``, and ``account``, ``qos``, ``mem`` and
            ``minutes`` where they were given; empty without it.
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
    weights: list[str] = field(default_factory=list)
    slurm: dict[str, Any] = field(default_factory=dict)

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
        remedy = "restore it or delete the run"
        try:
            plan = cls(**{**read_json(path, remedy), "folder": str(folder)})
            for name in (each.name for each in fields(cls) if isinstance(each.default, int)):
                if not isinstance(said := getattr(plan, name), int):
                    raise TypeError(f"its {name} is {said!r}")
            return plan
        except TypeError as error:
            raise LabError(f"{path} is broken ({error}): {remedy}") from error

    def command(self, python: str) -> list[str]:
        """The words of the command line that trains: the worker itself, or torchrun around it."""
        worker = ["-m", WORKER, self.folder]
        if self.processes * self.nodes == 1:
            return [python, *worker]
        meet = ["--standalone"]
        if self.nodes > 1:
            meet = ["--rdzv-backend=c10d", f"--rdzv-endpoint=$HEAD_NODE:{self.port or 29500}"]
            meet += [f"--rdzv-id={self.meeting}"]
        elif self.port:
            meet = ["--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{self.port}"]
        return [
            *(python, "-m", "torch.distributed.run", *meet, f"--nnodes={self.nodes}"),
            *(f"--nproc-per-node={self.processes}", f"--max-restarts={self.restarts}", *worker),
        ]
