"""Plans of launches, and processes: found by birth, not by number; ended with their children."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.files import LAUNCH, sole_writer
from crosskd_lab.runs import processes as process
from crosskd_lab.runs.processes import PLAN, LaunchPlan


def test_one_process_needs_no_torchrun(tmp_path):
    plan = LaunchPlan("pocket/crosskd", str(tmp_path))
    assert plan.command("py") == ["py", "-m", "crosskd_lab.runs.worker", str(tmp_path)]


def test_several_processes_go_through_torchrun():
    words = LaunchPlan("c", "f", processes=8, gpus=8, restarts=2).command("py")
    assert words[:3] == ["py", "-m", "torch.distributed.run"]
    assert words[3:7] == ["--standalone", "--nnodes=1", "--nproc-per-node=8", "--max-restarts=2"]
    assert words[7:] == ["-m", "crosskd_lab.runs.worker", "f"]


def test_several_machines_meet_at_one():
    plan = LaunchPlan("c", "f", processes=8, gpus=8, nodes=2, port=29600, meeting="5e7")
    words = plan.command("py")
    assert "--rdzv-id=5e7" in words
    assert "--rdzv-endpoint=$HEAD_NODE:29600" in words and "--nnodes=2" in words


def test_it_is_read_again_wherever_the_folder_went(tmp_path):
    LaunchPlan("c", str(tmp_path / "old"), settings={"schedule.steps": 3}, steps=3).write()
    (tmp_path / "old").rename(tmp_path / "new")
    plan = LaunchPlan.read(tmp_path / "new")
    assert plan.folder == str(tmp_path / "new") and plan.settings == {"schedule.steps": 3}


def test_a_folder_that_was_not_launched_is_named(tmp_path):
    with pytest.raises(LabError, match="was not launched.*crosskd-lab runs"):
        LaunchPlan.read(tmp_path)
    (tmp_path / PLAN).write_text(json.dumps({"config": "c", "folder": "f", "steps": "x"}))
    with pytest.raises(LabError, match=r"launch\.json is broken .its steps is 'x'.: restore it"):
        LaunchPlan.read(tmp_path)
    (tmp_path / PLAN).write_text(json.dumps({"config": "c", "folder": "f", "color": "red"}))
    with pytest.raises(LabError, match=r"launch\.json is broken .*color"):
        LaunchPlan.read(tmp_path)


SPAWNS = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print(p.pid, flush=True); time.sleep(60)"  # noqa: E501
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"  # noqa: E501


def spawn(code):
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    said = child.stdout.readline().strip()
    return child, said


def test_a_number_given_to_another_process_is_no_match(tmp_path):
    me = psutil.Process()
    place = tmp_path / process.PROCESS
    place.write_text(json.dumps({"pid": me.pid, "born": me.create_time()}))
    assert process.find(tmp_path).pid == me.pid
    place.write_text(json.dumps({"pid": me.pid, "born": me.create_time() - 100}))
    assert process.find(tmp_path) is None
    assert process.find(tmp_path / "nowhere") is None


@pytest.fixture
def noted(tmp_path):
    """``noted(boot="...")``: this process, noted as a run's, with what is different."""

    def note(**other):
        me = psutil.Process()
        said = {"pid": me.pid, "born": me.create_time(), **process.here(), **other}
        (tmp_path / process.PROCESS).write_text(json.dumps(said))
        return tmp_path

    return note


def test_a_process_is_told_by_where_it_lives(noted):
    assert process.find(noted()).pid == os.getpid() and process.is_alive(noted()) is True
    # another container of this kernel: its numbers mean nothing here, the lock tells
    folder = noted(space="pid:[1]", host="box")
    assert process.find(folder) is None and process.is_alive(folder) is False
    with sole_writer(folder, LAUNCH):
        assert process.is_alive(folder) is True
    # another machine: a lock that is held is believed, one that is free tells nothing
    folder = noted(boot="another", host="far")
    assert process.find(folder) is None and process.is_alive(folder) is None
    assert process.elsewhere(folder).startswith("on far: look there, or delete ")
    with sole_writer(folder):
        assert process.is_alive(folder) is True
    # as earlier versions noted it
    (folder / process.PROCESS).write_text(json.dumps({"pid": os.getpid(), "born": 1.0}))
    assert process.is_alive(folder) is False and process.elsewhere(folder) == ""


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"boot": 3}', "\0"])
def test_a_broken_note_tells_nothing(tmp_path, text):
    (tmp_path / process.PROCESS).write_text(text)
    assert process.find(tmp_path) is None and process.is_alive(tmp_path) is None
    assert f"delete {tmp_path / process.PROCESS}" in process.elsewhere(tmp_path)


def test_the_end_takes_the_children_too():
    child, grandchild = spawn(SPAWNS)
    process.end(psutil.Process(child.pid), grace=1)
    child.wait(5)
    deadline = time.monotonic() + 5
    while psutil.pid_exists(int(grandchild)) and time.monotonic() < deadline:
        time.sleep(0.05)
    gone = not psutil.pid_exists(int(grandchild))
    assert gone or psutil.Process(int(grandchild)).status() == psutil.STATUS_ZOMBIE


def test_who_does_not_answer_is_killed():
    child, _ = spawn(DEAF)
    deaf = psutil.Process(child.pid)
    deaf.terminate()
    assert psutil.wait_procs([deaf], timeout=0.3)[1], "it should not have listened"
    process.end(deaf, grace=0.5)
    assert not deaf.is_running()


def test_the_workers_of_a_folder_are_known_by_their_words(tmp_path):
    waits = [sys.executable, "-c", "import time; time.sleep(60)", process.WORKER]
    mine = subprocess.Popen([*waits, "run"], cwd=tmp_path)
    other = subprocess.Popen([*waits, "other"], cwd=tmp_path)
    try:
        deadline = time.monotonic() + 10
        while not (found := process.workers(tmp_path / "run")) and time.monotonic() < deadline:
            time.sleep(0.05)  # its words are those of its parent until it has begun
        assert [one.pid for one in found] == [mine.pid]
    finally:
        for child in (mine, other):
            child.kill()
            child.wait()


FOLLOWS = """
import os, signal, sys, time
from crosskd_lab.runs import processes as process
process.GRACE = 0.4
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
process.follow(os.getppid(), lambda: open(sys.argv[1], "w").close(), every=0.05)
print("on", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("ears", ["hears", "deaf"])
def test_a_worker_does_not_outlive_who_started_it(tmp_path, ears):
    code = (
        "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', sys.argv[1], "
        "*sys.argv[2:]], stdout=subprocess.PIPE); p.stdout.readline(); print(p.pid, flush=True); "
        "time.sleep(60)"
    )
    said = str(tmp_path / "said")
    parent = subprocess.Popen(
        [sys.executable, "-c", code, FOLLOWS, said, ears], stdout=subprocess.PIPE, text=True
    )
    worker = psutil.Process(int(parent.stdout.readline()))
    assert worker.is_running() and not os.path.exists(said)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.05)
    assert os.path.exists(said), "it had its word first"
