"""SLURM's side, tried with submitit's own stand-in for a cluster."""

import submitit

from crosskd_lab.launch.plan import LaunchPlan
from crosskd_lab.launch.slurm import SlurmTask, executor


def test_the_executor_asks_for_the_plans_machines(tmp_path):
    plan = LaunchPlan("c", str(tmp_path), gpus=8, processes=8, nodes=2)
    asked = executor(plan, "gpu", cluster="debug")
    assert asked.cluster == "debug"
    slurm = submitit.AutoExecutor(folder=tmp_path, cluster="local")
    assert slurm.cluster == "local"


def test_a_task_goes_on_in_a_new_job(tmp_path):
    again = SlurmTask(str(tmp_path)).checkpoint()
    assert isinstance(again, submitit.helpers.DelayedSubmission)
    assert again.function.folder == str(tmp_path)
