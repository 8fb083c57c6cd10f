"""SLURM's side, tried with submitit's own stand-in for a cluster."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import submitit

from crosskd_lab.engine.record import finish_record, read_metrics, read_record
from crosskd_lab.errors import LabError
from crosskd_lab.report.sweep_spec import read_sweep
from crosskd_lab.runs import slurm
from crosskd_lab.runs.launch import launch, prepare
from crosskd_lab.runs.processes import LaunchPlan, Run
from crosskd_lab.runs.slurm import SlurmTask, executor


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
    ask = {"partition": "fast", "qos": "long"}
    LaunchPlan("c", str(folder), gpus=8, processes=8, nodes=2, slurm=ask).write()
    (folder / slurm.JOB).write_text(json.dumps({"job": "4242"}))
    return folder, queue


def test_a_job_is_asked_after_where_it_runs(cluster, begin):
    folder, queue = cluster
    run = Run.open(folder)
    assert run.status == "starting"
    begin(folder)
    assert run.status == "running"
    squeue = queue.parent / "bin" / "squeue"
    said = squeue.read_text()
    squeue.write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n")
    assert slurm.queued("4242") is None and run.status == "running", "not known is not over"
    squeue.write_text(said)
    queue.unlink()
    assert run.status == "interrupted", "its job is gone, and left no word"
    finish_record(folder, "stopped", reason="interrupted")
    assert run.status == "stopped" and run.wait() == "stopped"


def test_without_slurm_its_record_is_all_there_is(cluster, monkeypatch, begin):
    folder, _ = cluster
    monkeypatch.setenv("PATH", "")
    assert Run.open(folder).status == "waiting"
    begin(folder)
    assert Run.open(folder).status == "running"
    with pytest.raises(LabError, match="say 'scancel 4242' where it is"):
        Run.open(folder).stop()


def test_a_job_is_cancelled_and_submitted_again(cluster, monkeypatch, begin):
    folder, _ = cluster
    begin(folder)
    assert Run.open(folder).stop() == "stopped"
    assert (folder.parent / "cancelled").read_text() == "4242\n"
    again = []
    monkeypatch.setattr(slurm, "submit", lambda plan: again.append(plan.slurm))
    Run.open(folder).resume()
    assert again == [{"partition": "fast", "qos": "long"}]


@pytest.mark.parametrize("text", ["{", "[]", '{"partition": "fast"}'])
def test_a_broken_note_of_a_job_is_one_line(cluster, text):
    folder, _ = cluster
    (folder / slurm.JOB).write_text(text)
    with pytest.raises(LabError, match=r"slurm\.json is broken .*: delete it if no job"):
        _ = Run.open(folder).status


def test_a_job_in_the_queue_is_not_submitted_twice(cluster, small):
    folder, queue = cluster
    with pytest.raises(LabError, match="is starting: watch it, or stop it first"):
        launch(**small(6, out=folder), slurm="fast")
    queue.unlink()
    with pytest.raises(LabError, match='"srun".*this machine reaches no SLURM'):
        launch(**small(6, out=folder), slurm="fast")


def test_the_log_of_a_job_is_the_last_that_was_written(cluster):
    folder, _ = cluster
    logs = folder / slurm.LOGS
    logs.mkdir()
    (logs / "4242_0_log.out").write_text("first\nstep 10\n")
    assert Run.open(folder).tail(1) == "step 10"


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A cluster that takes one job and keeps its script."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in {"srun": "exit 0", "sbatch": 'echo "Submitted batch job 7"'}.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    return lambda folder: next((folder / slurm.LOGS).glob("*.sh")).read_text()


def test_a_job_asks_for_what_was_said(small, sbatch, tmp_path, capsys):
    ask = dict(account="lab", qos="long", time=2160, mem="64G", cpus_per_gpu=6)
    launch(**small(6), gpus=8, nodes=2, slurm="fast", ask=ask)
    script = sbatch(tmp_path / "run")
    for word in (
        *("account=lab", "qos=long", "time=2160", "mem=64G", "cpus-per-task=6", "nodes=2"),
        *("ntasks-per-node=8", "gpus-per-node=8", "partition=fast"),
    ):
        assert f"#SBATCH --{word}\n" in script, script
    said = capsys.readouterr().out
    assert "6 threads a process" in said and "6 cores a task" in said
    assert "account lab, qos long, mem 64G, 36 hours" in said
    assert slurm.submitted(tmp_path / "run") == "7"
    plan = LaunchPlan.read(tmp_path / "run")
    assert plan.threads == 6, "which the worker sets, whatever machine it is on"
    kept = {"partition": "fast", "account": "lab", "qos": "long", "mem": "64G", "time": 2160}
    assert plan.slurm == kept


def test_what_is_asked_of_slurm_must_make_sense(small, tmp_path):
    with pytest.raises(LabError, match="--qos is SLURM's: say --slurm too"):
        launch(**small(6), ask={"qos": "long"})
    assert not (tmp_path / "run").exists()


def test_a_task_goes_on_in_a_new_job(tmp_path):
    again = SlurmTask(str(tmp_path)).checkpoint()
    assert isinstance(again, submitit.helpers.DelayedSubmission)
    assert again.function.folder == str(tmp_path)


def test_each_task_sees_all_gpus_and_takes_its_own(monkeypatch):
    """By its local rank, as mmengine does: with one visible, the others' ranks would name none."""
    from crosskd_lab.runs import worker

    exported, worked = [], []
    environment = type("Environment", (), {"export": lambda self, **how: exported.append(how)})
    monkeypatch.setattr(submitit.helpers, "TorchDistributedEnvironment", environment)
    monkeypatch.setattr(worker, "work", worked.append)
    SlurmTask("some/run")()
    assert exported == [{"set_cuda_visible_devices": False}] and worked == ["some/run"]


@pytest.mark.timeout(600)
def test_two_tasks_train_together(small):
    """submitit's stand-in for a cluster starts the tasks as srun would: without torchrun."""
    plan, _ = prepare(**small(4), processes=2, slurm="fast")
    plan.write()
    job = executor(plan, cluster="local").submit(SlurmTask(plan.folder))
    job.results()
    record = read_record(plan.folder)
    assert record["status"] == "done" and record["extra"]["processes"] == 2
    rows = read_metrics(plan.folder)
    assert rows.query("kind == 'val'")["step"].tolist() == [4], "one of the two writes"


SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.mark.parametrize("name", ["train_8gpu.sh", "train_slurm.sh"])
@pytest.mark.parametrize("how", ["from elsewhere", "sbatch", "sbatch below"])
def test_scripts_find_the_project_and_leave_relative_paths_alone(tmp_path, name, how):
    """SLURM runs a copy in its spool folder, standing where the job was submitted."""
    project, spool, elsewhere = tmp_path / "project", tmp_path / "spool", tmp_path / "mine"
    (project / ".venv/bin").mkdir(parents=True)
    (project / "crosskd_lab").mkdir()
    (project / "Makefile").write_text(".venv/.ready:\n\t@touch $@\n")
    lab = project / ".venv/bin/crosskd-lab"
    lab.write_text('#!/bin/sh\necho "$PWD" "$@"\n')
    lab.chmod(0o755)
    (project / "scripts").mkdir()
    spool.mkdir()
    elsewhere.mkdir()
    script = (project / "scripts" if how == "from elsewhere" else spool) / name
    shutil.copy(SCRIPTS / name, script)
    stand = {"from elsewhere": elsewhere, "sbatch": project, "sbatch below": project / "scripts"}[
        how
    ]
    env = {"PATH": os.environ["PATH"], "PARTITION": "fast", "SLURM_SUBMIT_DIR": str(stand)}
    words = ["bash", script, "paper/table1_i3", "--data", "my/data"]
    done = subprocess.run(words, cwd=stand, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    own = "--wait" if name == "train_8gpu.sh" else "--nodes 1 --slurm fast"
    said = f"{stand} launch paper/table1_i3 --gpus 8 {own} --data my/data\n"
    assert done.stdout.endswith(said)


def test_a_script_that_is_lost_says_so(tmp_path):
    script = shutil.copy(SCRIPTS / "train_8gpu.sh", tmp_path)
    done = subprocess.run(["bash", script, "x"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "say sbatch in the project's folder\n")


def test_measuring_everything_begins_with_its_plan():
    script = SCRIPTS / "measure_everything.sh"
    done = subprocess.run([script, "--minutes", "0"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    runs = len(list(read_sweep("table4_slow").plan()))
    assert re.fullmatch(rf"table4_slow +{runs} runs, +\d+ not recorded yet", lines[0])
    assert lines[-1] == "The minutes are over; the same command goes on."
    wrong = subprocess.run([script, "--hours", "1"], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.startswith("unknown option --hours")
    wrong = subprocess.run([script, "--minutes", "ten"], capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (2, "a number, please, not 'ten'\n")


def test_without_submitit_it_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(LabError, match="--slurm needs submitit: pip install"):
        executor(LaunchPlan("c", str(tmp_path), slurm={"partition": "fast"}))


def test_a_job_that_slurm_refuses_is_one_line(monkeypatch, tmp_path):
    class Refusing:
        def submit(self, task):
            raise RuntimeError("sbatch: error: invalid\n  partition specified")

    monkeypatch.setattr(slurm, "executor", lambda *_: Refusing())
    with pytest.raises(LabError, match="SLURM refuses the job: sbatch: error: invalid partition"):
        slurm.submit(LaunchPlan("c", str(tmp_path), slurm={"partition": "fast"}))
    assert not (tmp_path / slurm.JOB).exists()
