"""SLURM through submitit: the same worker, one task a GPU, requeued when its time is up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ..errors import LabError
from ..files import write_whole
from .plan import LaunchPlan

JOB, LOGS = "slurm.json", "slurm"
DAYS = 3  # the longest that a job may take before it is requeued


class SlurmTask:
    """What each task runs: submitit tells it where the others are, the worker does the rest."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self) -> None:
        """Join the other tasks and train."""
        import submitit  # type: ignore[import-not-found, import-untyped, unused-ignore]

        from .worker import work

        # Every task sees all GPUs of its machine: mmengine takes the one of its local rank.
        submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False)
        work(self.folder)

    def checkpoint(self) -> Any:
        """At the end of its time: go on in a new job, from the last whole checkpoint."""
        import submitit  # type: ignore[import-not-found, import-untyped, unused-ignore]

        return submitit.helpers.DelayedSubmission(SlurmTask(self.folder))


def executor(plan: LaunchPlan, partition: str, cluster: str = "slurm") -> Any:
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
        asked = submitit.AutoExecutor(folder=str(Path(plan.folder) / LOGS), cluster=cluster)
    except RuntimeError as error:
        raise LabError(f"--slurm: {error}; this machine reaches no SLURM") from error
    asked.update_parameters(**resources(plan))
    if asked.cluster == "slurm":
        asked.update_parameters(slurm_partition=partition)
    return asked


def resources(plan: LaunchPlan) -> dict[str, Any]:
    """What is asked of the cluster, in submitit's words."""
    return dict(
        name=Path(plan.folder).name,
        nodes=plan.nodes,
        tasks_per_node=plan.processes,
        gpus_per_node=plan.gpus,
        cpus_per_task=min(8, os.cpu_count() or 1),
        timeout_min=DAYS * 24 * 60,
    )


def describe(plan: LaunchPlan, partition: str) -> str:
    """What would be submitted, in a few lines; also where it cannot be from here."""
    asked = resources(plan)
    lines = [
        f"submits   {SlurmTask.__name__}({plan.folder!r}) to partition {partition}, by submitit",
        f"asks for  {asked['nodes']} x {asked['tasks_per_node']} tasks, "
        f"{asked['gpus_per_node']} GPUs a machine, {asked['cpus_per_task']} cores a task, "
        f"{DAYS} days; requeued when they are over",
        f"logs      {Path(plan.folder) / LOGS}",
    ]
    if not shutil.which("srun"):
        lines.append("but       this machine reaches no SLURM: start it where srun is")
    return "\n".join(lines)


def submit(plan: LaunchPlan, partition: str, cluster: str = "slurm") -> str:
    """Hand the plan to SLURM; the job's number, which is also written into the folder."""
    job = executor(plan, partition, cluster).submit(SlurmTask(plan.folder))
    said = {"job": str(job.job_id), "partition": partition}
    write_whole(Path(plan.folder) / JOB, json.dumps(said) + "\n")
    print(f"job       {job.job_id} on partition {partition}")
    return str(job.job_id)


def submitted(folder: str | Path) -> dict[str, str] | None:
    """Number and partition of the job that trains into a folder; None where none was submitted."""
    path = Path(folder) / JOB
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def queued(job: str) -> bool | None:
    """Whether SLURM still has a job, waiting or running; None where this machine cannot ask."""
    if not shutil.which("squeue"):
        return None
    asked = ["squeue", "--noheader", "--jobs", job, "--format", "%T"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    return bool(said.stdout.strip())  # a job that is over is unknown to it, or not listed


def cancel(job: str) -> None:
    """End a job as SLURM does: SIGTERM, and a kill after its grace.

    Raises:
        LabError: where SLURM cannot be reached.
    """
    if not shutil.which("scancel"):
        raise LabError(f"this machine reaches no SLURM: say 'scancel {job}' where it is")
    subprocess.run(["scancel", job], check=False)
