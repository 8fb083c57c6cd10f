"""SLURM through submitit: the same worker, one task a GPU, requeued when its time is up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import LabError
from .plan import LaunchPlan


class SlurmTask:
    """What each task runs: submitit tells it where the others are, the worker does the rest."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self) -> None:
        """Join the other tasks and train."""
        import submitit  # type: ignore[import-not-found, import-untyped, unused-ignore]

        from .worker import work

        submitit.helpers.TorchDistributedEnvironment().export()
        work(self.folder)

    def checkpoint(self) -> Any:
        """At the end of its time: go on in a new job, from the last whole checkpoint."""
        import submitit  # type: ignore[import-not-found, import-untyped, unused-ignore]

        return submitit.helpers.DelayedSubmission(SlurmTask(self.folder))


def executor(plan: LaunchPlan, partition: str, cluster: str | None = None) -> Any:
    """submitit's executor with the plan's resources.

    Args:
        plan: What to start.
        partition: SLURM's.
        cluster: "local" or "debug" for a try without SLURM.

    Raises:
        LabError: where submitit or SLURM is not there.
    """
    try:
        import submitit  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise LabError("--slurm needs submitit: pip install 'crosskd-lab[slurm]'") from error
    try:
        asked = submitit.AutoExecutor(folder=str(Path(plan.folder) / "slurm"), cluster=cluster)
    except RuntimeError as error:
        raise LabError(f"--slurm: {error}; this machine reaches no SLURM") from error
    asked.update_parameters(
        name=Path(plan.folder).name,
        nodes=plan.nodes,
        tasks_per_node=plan.processes,
        gpus_per_node=plan.gpus,
        cpus_per_task=min(8, os.cpu_count() or 1),
        timeout_min=3 * 24 * 60,
    )
    if asked.cluster == "slurm":
        asked.update_parameters(slurm_partition=partition)
    return asked


def submit(plan: LaunchPlan, partition: str, cluster: str | None = None) -> str:
    """Hand the plan to SLURM; the job's number, which is also written into the folder."""
    job = executor(plan, partition, cluster).submit(SlurmTask(plan.folder))
    (Path(plan.folder) / "slurm.txt").write_text(f"{job.job_id}\n")
    print(f"job       {job.job_id} on partition {partition}")
    return str(job.job_id)
