"""Runs that really train in processes of their own: watched, stopped, killed, resumed, cut short.

Few and full: every start costs the import of the detector library.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest

from crosskd_lab.engine.hooks import last_checkpoint, saved_step
from crosskd_lab.engine.record import append_metrics, read_metrics, read_record
from crosskd_lab.errors import LabError
from crosskd_lab.files import LAUNCH, sole_writer
from crosskd_lab.runs import processes as process
from crosskd_lab.runs.launch import launch, prepare
from crosskd_lab.runs.processes import LOG, LaunchPlan, Run

PATIENCE = 200  # seconds


def family(run):
    said = json.loads((run.folder / "process.json").read_text())
    leader = psutil.Process(said["pid"])
    return [leader, *leader.children(recursive=True)]


def nobody_left(processes):
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def no_half_files(folder):
    return not list(folder.rglob("*.part"))


STARTS = """
import json, os, sys
from crosskd_lab.runs.launch import launch, prepare
launch(**json.loads(sys.argv[1]))
os.kill(os.getpid(), 9)  # as a kernel dies
"""
WORKS = "from crosskd_lab.runs.worker import main; main()"
FULL = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
{WORKS}
"""
"""The file-size limit of a process stands in for the disk: writing fails as it would there."""


@pytest.mark.timeout(600)
def test_the_life_of_a_run(small, tmp_path, child, until):
    """Started by a process that dies at once, found again, stopped as a scheduler does, resumed
    from a cut checkpoint's forerunner without room on the disk, which ends it in one line, resumed
    with room, done with the metrics of a run that was never disturbed."""
    words = small(16)
    code, _, errors = child(STARTS, json.dumps(words, default=str)).end()
    assert code == -signal.SIGKILL, errors
    run = Run.open(tmp_path / "run")
    until(lambda: run.status == "running")
    assert "step" in repr(run)
    until(lambda: saved_step(last_checkpoint(run.folder)) >= 8)
    processes = family(run)
    processes[0].send_signal(signal.SIGTERM)
    until(lambda: nobody_left(processes))
    until(lambda: run.status == "stopped")  # a helper of torch's may hold the lock a moment longer
    assert no_half_files(run.folder)
    assert read_record(run.folder)["reason"] == "interrupted"
    newest = last_checkpoint(run.folder)
    whole = newest.read_bytes()
    newest.write_bytes(whole[: len(whole) // 2])  # the disk lost half of it
    before = last_checkpoint(run.folder)
    assert before is not None and before.name < newest.name or len(before.name) < len(newest.name)
    with pytest.raises(LabError, match="was not launched"):
        Run.open(tmp_path)

    code, _, errors = child(FULL, run.folder).end()
    last = errors.strip().splitlines()[-1]
    assert code == 1 and last.startswith("crosskd-lab: ") and "cannot be written" in last, errors
    assert run.status == "failed" and "cannot be written" in run.reason
    assert last_checkpoint(run.folder) == before and no_half_files(run.folder)

    run.resume()
    with pytest.raises(LabError, match="watch it, or stop it first"):
        run.resume()
    assert run.wait(PATIENCE) == "done", run.tail()
    assert "pkg_resources" not in run.tail(400), "what packages say of themselves"
    assert run.results()["AP"] >= 0 and run.step == 16
    assert len(read_record(run.folder)["resumed"]) == 2
    with pytest.raises(LabError, match="is done: launch another"):
        run.resume()
    straight, _ = prepare(**{**words, "out": tmp_path / "straight"})
    straight.write()
    code, _, errors = child(
        "from crosskd_lab.runs.worker import main; main()", straight.folder
    ).end()
    assert code == 0, errors
    mine, theirs = (
        read_metrics(r).query("kind == 'val'").drop(columns="kind").reset_index(drop=True)
        for r in (run.folder, straight.folder)
    )
    assert mine.equals(theirs), "a run that was stopped and resumed differs from one that was not"


@pytest.mark.timeout(600)
def test_one_of_two_processes_is_killed_then_torchrun_itself_and_the_run_goes_on(
    small, tmp_path, monkeypatch, until
):
    monkeypatch.chdir(tmp_path)
    run = launch(**small(20), processes=2, restarts=1)
    until(lambda: last_checkpoint(run.folder) is not None or run.status == "failed")
    assert run.status == "running", run.tail(60)
    everyone = family(run)
    workers = [p for p in everyone[1:] if "crosskd_lab.runs.worker" in " ".join(p.cmdline())]
    assert len(workers) == 2, run.tail()
    workers[1].kill()
    until(lambda: read_record(run.folder)["resumed"] or run.status == "failed")
    saved = last_checkpoint(run.folder)
    until(lambda: last_checkpoint(run.folder) != saved or run.status == "failed")
    assert run.status == "running", run.tail(60)
    record = read_record(run.folder)
    assert record["extra"]["processes"] == 2
    assert len(record["resumed"]) == 1, "torchrun started the processes once more"

    everyone += family(run)
    assert len(process.workers(run.folder)) == 3, "torchrun and two workers"
    everyone[0].kill()
    assert run.status == "running", "its workers train on, and are found when it is stopped"
    assert run.stop() == "stopped"
    until(lambda: nobody_left(everyone), 60)
    assert not process.workers(run.folder) and no_half_files(run.folder)
    rows, cut = run.folder / "metrics.jsonl", saved_step(last_checkpoint(run.folder))
    kept = [
        line
        for line in rows.read_text().splitlines(keepends=True)
        if f'"step":{cut},"kind":"val"' not in line
    ]
    rows.write_text("".join(kept))  # as a kill in its validation would have left them
    assert cut not in set(read_metrics(run.folder).query("kind == 'val'")["step"])
    run.resume()
    everyone = family(run)
    assert run.wait(PATIENCE) == "done", run.tail(60)
    assert nobody_left(everyone) and no_half_files(run.folder)
    assert sorted(read_metrics(run.folder).query("kind == 'val'")["step"]) == [4, 8, 12, 16, 20]
    assert [path.name for path in tmp_path.iterdir()] == ["run"], "nothing lies about"
    assert not (run.folder / "collected").exists()


@pytest.mark.timeout(600)
def test_the_fault_of_one_of_two_processes_is_the_runs(small, tmp_path, monkeypatch):
    """Its loss is no number; the other one only sees a peer leave."""
    toys = Path(__file__).resolve().parents[1] / "engine"
    monkeypatch.setenv("PYTHONPATH", str(toys))
    words = small(12)
    exploding = {"type": "toy_methods.Exploding", "at": 3, "value": "nan", "rank": 1}
    words["settings"]["methods"] = [exploding]
    run = launch(**words, processes=2, restarts=0)
    everyone = family(run)
    assert run.wait(PATIENCE) == "failed", run.tail(60)
    assert run.reason.startswith("step 3: loss_exploding is nan; the run stops before its first")
    assert run.reason.endswith("(process 1 of 2)")
    assert nobody_left(everyone) and no_half_files(run.folder)


def test_a_run_that_never_began_says_why(tmp_path):
    LaunchPlan("pocket/crosskd", str(tmp_path)).write()
    (tmp_path / LOG).write_bytes(b"1 of 2\r2 of 2\r\ncrosskd-lab: there is no data\n")
    run = Run.open(tmp_path)
    assert (run.status, run.reason, run.step) == ("failed", "there is no data", 0)
    assert run.tail(1) == "crosskd-lab: there is no data" and run.seconds_left() is None
    assert run.tail() == "2 of 2\ncrosskd-lab: there is no data", "a bar's last state alone"


def test_a_run_of_epochs_has_its_time_left_from_the_record(tmp_path, begin):
    """Its plan cannot know the steps; training does, once it has read the set."""
    LaunchPlan("paper/table5_crosskd", str(tmp_path)).write()
    run = Run.open(tmp_path)
    assert run.steps == 0 and run.state()["of"] == 0
    begin(tmp_path, extra={"steps": 1000})
    assert run.steps == 1000 and run.seconds_left() is None, "no pace yet"
    for step in (10, 20):
        append_metrics(tmp_path, {"step": step, "kind": "train", "seconds_per_step": 0.5})
    append_metrics(tmp_path, {"step": 20, "kind": "val", "AP": 1.0})
    assert run.seconds_left() == pytest.approx((1000 - 20) * 0.5)
    assert "step 20 of 1000" in repr(run) and run.state()["of"] == 1000


SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def sleeper(tmp_path, begin, monkeypatch):
    """A run that was killed while it trained; what is started of it sleeps."""
    monkeypatch.setattr(LaunchPlan, "command", lambda *_: SLEEPS)
    LaunchPlan("pocket/crosskd", str(tmp_path)).write()
    (tmp_path / LOG).touch()
    begin(tmp_path)
    yield Run.open(tmp_path)
    for left in filter(None, [process.find(tmp_path)]):
        process.end(left)


def test_of_two_resumes_at_once_one_starts(sleeper, monkeypatch):
    assert sleeper.status == "interrupted"
    with sole_writer(sleeper.folder, LAUNCH):
        monkeypatch.setattr(sleeper, "refuse_live", lambda: None)  # as it was a moment before
        with pytest.raises(LabError, match="is being written by process"):
            sleeper.resume()
    sleeper.resume()
    assert sleeper.status == "running"
    with pytest.raises(LabError, match="is running: watch it, or stop it first"):
        Run.open(sleeper.folder).resume()
    assert sleeper.stop() == "stopped"


def test_a_live_run_is_never_started_from_another_machine(sleeper, monkeypatch):
    sleeper.resume()
    home = socket.gethostname()
    monkeypatch.setattr(socket, "gethostname", lambda: "far")
    assert sleeper.status == "running"
    with pytest.raises(LabError, match="is running"):
        sleeper.resume()
    with pytest.raises(LabError, match=f"from here: it runs .*{home}"):
        sleeper.stop()
    monkeypatch.undo()
    process.end(process.find(sleeper.folder))
    monkeypatch.setattr(socket, "gethostname", lambda: "far")
    with pytest.raises(LabError, match=f"is running on {home}: look there, or delete"):
        sleeper.resume()
    (sleeper.folder / process.PROCESS).unlink()
    assert sleeper.status == "interrupted"


def test_a_trainer_by_hand_is_seen_too(sleeper):
    """``train --resume`` in a folder that was launched."""
    with sole_writer(sleeper.folder):
        assert sleeper.status == "running"
        with pytest.raises(LabError, match="is running"):
            sleeper.resume()
        with pytest.raises(LabError, match=f"it runs as process {os.getpid()} on "):
            sleeper.stop()
    assert sleeper.status == "interrupted"
