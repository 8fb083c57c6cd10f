"""SLURM's side, tried with submitit's own stand-in for a cluster."""

import json
import shutil

import pytest
import submitit

from crosskd_lab.errors import LabError
from crosskd_lab.launch import Run, slurm
from crosskd_lab.launch.plan import LaunchPlan
from crosskd_lab.launch.slurm import SlurmTask, executor
from crosskd_lab.launch.start import prepare
from crosskd_lab.record import finish_record, read_metrics, read_record, start_record


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A folder with one job in the queue, as long as the file ``queue`` says so."""
    programs, queue = tmp_path / "bin", tmp_path / "queue"
    programs.mkdir()
    for name, body in {
        "squeue": f'grep -q "^$3$" {queue} && echo RUNNING || echo "Invalid job id" >&2',
        "scancel": f"rm -f {queue}; echo $1 > {tmp_path}/cancelled",
        "grep": f'exec {shutil.which("grep")} "$@"',
        "rm": f'exec {shutil.which("rm")} "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    queue.write_text("4242\n")
    monkeypatch.setenv("PATH", str(programs))
    folder = tmp_path / "run"
    LaunchPlan("c", str(folder), gpus=8, processes=8, nodes=2).write()
    (folder / slurm.JOB).write_text(json.dumps({"job": "4242", "partition": "fast"}))
    return folder, queue


def begin(folder):
    start_record(
        folder,
        **dict(command=["x"], config="", seed=0, data={"path": "d", "checksum": "1"}),
        **dict(teacher=None, methods=None),
    )


def test_a_job_is_asked_after_where_it_runs(cluster):
    folder, queue = cluster
    run = Run.open(folder)
    assert run.status == "starting"
    begin(folder)
    assert run.status == "running"
    queue.unlink()
    assert run.status == "interrupted", "its job is gone, and left no word"
    finish_record(folder, "stopped", reason="interrupted")
    assert run.status == "stopped" and run.wait() == "stopped"


def test_without_slurm_its_record_is_all_there_is(cluster, monkeypatch):
    folder, _ = cluster
    monkeypatch.setenv("PATH", "")
    assert Run.open(folder).status == "waiting"
    begin(folder)
    assert Run.open(folder).status == "running"
    with pytest.raises(LabError, match="say 'scancel 4242' where it is"):
        Run.open(folder).stop()


def test_a_job_is_cancelled_and_submitted_again(cluster, monkeypatch):
    folder, _ = cluster
    begin(folder)
    assert Run.open(folder).stop() == "stopped"
    assert (folder.parent / "cancelled").read_text() == "4242\n"
    again = []
    monkeypatch.setattr(slurm, "submit", lambda plan, partition: again.append(partition))
    Run.open(folder).resume()
    assert again == ["fast"]


def test_the_log_of_a_job_is_the_last_that_was_written(cluster):
    folder, _ = cluster
    logs = folder / slurm.LOGS
    logs.mkdir()
    (logs / "4242_0_log.out").write_text("first\nstep 10\n")
    assert Run.open(folder).tail(1) == "step 10"


def test_without_slurm_nothing_runs_here_instead(tmp_path, monkeypatch):
    """submitit's own choice would be this machine."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="this machine reaches no SLURM"):
        executor(LaunchPlan("c", str(tmp_path)), "gpu")


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


def test_each_task_sees_all_gpus_and_takes_its_own(monkeypatch):
    """By its local rank, as mmengine does: with one visible, the others' ranks would name none."""
    from crosskd_lab.launch import worker

    exported, worked = [], []
    environment = type("Environment", (), {"export": lambda self, **how: exported.append(how)})
    monkeypatch.setattr(submitit.helpers, "TorchDistributedEnvironment", environment)
    monkeypatch.setattr(worker, "work", worked.append)
    SlurmTask("some/run")()
    assert exported == [{"set_cuda_visible_devices": False}] and worked == ["some/run"]


@pytest.mark.timeout(600)
def test_two_tasks_train_together(small):
    """submitit's stand-in for a cluster starts the tasks as srun would: without torchrun."""
    plan = prepare(**small(4), processes=2, slurm="fast")
    plan.write()
    job = executor(plan, "fast", cluster="local").submit(SlurmTask(plan.folder))
    job.results()
    record = read_record(plan.folder)
    assert record["status"] == "done" and record["extra"]["processes"] == 2
    rows = read_metrics(plan.folder)
    assert rows.query("kind == 'val'")["step"].tolist() == [4], "one of the two writes"
