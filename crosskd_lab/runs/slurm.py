"""SLURM through submitit: the same worker, one task a GPU, requeued when its time is up."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LabError
from ..files import read_json, write_whole

if TYPE_CHECKING:
    from .processes import LaunchPlan

JOB, LOGS = "slurm.json", "slurm"
DAYS = 3  # the longest that a job may take before it is requeued, where no --time says another
CORES = 8  # of a task, where no --cpus-per-gpu says another


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


def executor(plan: LaunchPlan, cluster: str = "slurm") -> Any:
    """submitit's executor with the plan's resources; LabError where submitit or SLURM is not there.

    ``cluster`` is "local" or "debug" for a try without SLURM.
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
        own = {f"slurm_{name}": value for name, value in plan.slurm.items() if name != "time"}
        asked.update_parameters(**own)
    return asked


def resources(plan: LaunchPlan) -> dict[str, Any]:
    """What is asked of the cluster, in submitit's words."""
    return dict(
        name=Path(plan.folder).name,
        nodes=plan.nodes,
        tasks_per_node=plan.processes,
        gpus_per_node=plan.gpus,
        cpus_per_task=plan.threads,
        timeout_min=plan.slurm.get("time", DAYS * 24 * 60),
    )


def describe(plan: LaunchPlan) -> str:
    """What would be submitted, in a few lines; also where it cannot be from here."""
    asked, hours = resources(plan), f"{resources(plan)['timeout_min'] / 60:g} hours"
    own = {name: plan.slurm[name] for name in ("account", "qos", "mem") if name in plan.slurm}
    words = "".join(f", {name} {said}" for name, said in own.items())
    lines = [
        f"submits   {SlurmTask.__name__}({plan.folder!r}) to partition {plan.slurm['partition']}, "
        "by submitit",
        f"asks for  {asked['nodes']} x {asked['tasks_per_node']} tasks, "
        f"{asked['gpus_per_node']} GPUs a machine, {asked['cpus_per_task']} cores a task{words}, "
        f"{hours}; requeued when they are over",
        f"logs      {Path(plan.folder) / LOGS}",
    ]
    if not shutil.which("srun"):
        lines.append("but       this machine reaches no SLURM: start it where srun is")
    return "\n".join(lines)


def submit(plan: LaunchPlan) -> None:
    """Hand the plan to SLURM, and write the job's number into the folder."""
    try:
        job = executor(plan).submit(SlurmTask(plan.folder))
    except RuntimeError as error:
        said = " ".join(str(error).split())
        raise LabError(f"SLURM refuses the job: {said}") from error
    write_whole(Path(plan.folder) / JOB, json.dumps({"job": str(job.job_id)}) + "\n")
    print(f"job       {job.job_id} on partition {plan.slurm.get('partition', 'of SLURM')}")


def submitted(folder: str | Path) -> str | None:
    """Number of the job that trains into a folder; None where none was submitted."""
    path = Path(folder) / JOB
    if not path.is_file():
        return None
    remedy = "delete it if no job of this run is left"
    job = read_json(path, remedy).get("job")
    if not isinstance(job, str):
        raise LabError(f"{path} is broken (it names no job): {remedy}")
    return job


def queued(job: str) -> bool | None:
    """Whether SLURM still has a job, waiting or running; None where that cannot be asked."""
    if not shutil.which("squeue"):
        return None
    asked = ["squeue", "--noheader", "--jobs", job, "--format", "%T"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    if said.returncode and "Invalid job id" not in said.stderr:
        return None  # its controller does not answer
    return bool(said.stdout.strip())  # a job that is over is unknown to it, or not listed


def cancel(job: str) -> None:
    """End a job as SLURM does: SIGTERM, and a kill after its grace; LabError out of its reach."""
    if not shutil.which("scancel"):
        raise LabError(f"this machine reaches no SLURM: say 'scancel {job}' where it is")
    subprocess.run(["scancel", job], check=False)
