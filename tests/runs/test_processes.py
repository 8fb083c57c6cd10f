"""Plans of launches, and processes: found by birth, not by number; ended with their children."""

import json
import socket
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.files import LAUNCH, WRITER, sole_writer
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
    assert plan.line().startswith("python -m torch")
    assert replace(plan, gpus=0).line().startswith("CUDA_VISIBLE_DEVICES= python -m torch")
    alone = LaunchPlan("c", "f", processes=2, port=29600).command("py")
    assert "--rdzv-endpoint=localhost:29600" in alone and "--standalone" not in alone


def test_it_is_read_again_wherever_the_folder_went(tmp_path):
    LaunchPlan("c", str(tmp_path / "old"), settings={"schedule.steps": 3}, steps=3).write()
    (tmp_path / "old").rename(tmp_path / "new")
    plan = LaunchPlan.read(tmp_path / "new")
    assert plan.folder == str(tmp_path / "new") and plan.settings == {"schedule.steps": 3}


def test_a_folder_that_was_not_launched_is_named(tmp_path):
    with pytest.raises(LabError, match="was not launched.*crosskd-lab runs"):
        LaunchPlan.read(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", '{"config": "c", "steps": "x"}', '{"steps": 1}'])
def test_a_broken_plan_is_one_line(tmp_path, text):
    (tmp_path / PLAN).write_text(text)
    with pytest.raises(LabError, match=r"launch\.json is broken .*: restore it or delete the run"):
        LaunchPlan.read(tmp_path)


def test_a_plan_of_an_earlier_version_is_read(tmp_path):
    (tmp_path / PLAN).write_text(json.dumps({"config": "c", "folder": "f", "color": "red"}))
    assert LaunchPlan.read(tmp_path) == LaunchPlan("c", str(tmp_path))


SPAWNS = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print(p.pid, flush=True); time.sleep(60)"  # noqa: E501
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"  # noqa: E501


def spawn(code):
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    said = child.stdout.readline().strip()
    return child, said


def test_a_number_given_to_another_process_is_no_match(tmp_path):
    me = psutil.Process()
    said = {"pid": me.pid, "born": me.create_time(), "host": socket.gethostname()}
    place = tmp_path / process.PROCESS
    place.write_text(json.dumps(said))
    assert process.find(tmp_path).pid == me.pid and process.is_alive(tmp_path) is True
    place.write_text(json.dumps(said | {"born": said["born"] - 100}))
    assert process.find(tmp_path) is None and process.is_alive(tmp_path) is False
    assert process.find(tmp_path / "nowhere") is None
    # on another machine: a lock that is held is believed, one that is free tells nothing
    place.write_text(json.dumps(said | {"host": "far"}))
    assert process.find(tmp_path) is None and process.is_alive(tmp_path) is None
    assert process.elsewhere(tmp_path) == "far"
    for lock in (LAUNCH, WRITER):
        with sole_writer(tmp_path, lock):
            assert process.is_alive(tmp_path) is True
    for text in ("{", "[1]", "\0"):
        place.write_text(text)
        with pytest.raises(LabError, match=r"process\.json is broken .*: delete it if the run is"):
            process.is_alive(tmp_path)
    for text in ("{}", '{"pid": "x"}', '{"host": 3}'):  # the lock alone tells
        place.write_text(text)
        assert not process.is_alive(tmp_path)
        with sole_writer(tmp_path):
            assert process.is_alive(tmp_path) is True


def test_the_end_takes_the_children_too(until):
    child, grandchild = spawn(SPAWNS)
    process.end(psutil.Process(child.pid), grace=1)
    child.wait(5)

    def over():
        try:
            return psutil.Process(int(grandchild)).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    until(over)


def test_who_does_not_answer_is_killed():
    child, _ = spawn(DEAF)
    deaf = psutil.Process(child.pid)
    deaf.terminate()
    assert psutil.wait_procs([deaf], timeout=0.3)[1], "it should not have listened"
    process.end(deaf, grace=0.5)
    assert not deaf.is_running()


def test_the_workers_of_a_folder_are_known_by_their_words(tmp_path, until):
    waits = [sys.executable, "-c", "import time; time.sleep(60)", process.WORKER]
    mine = subprocess.Popen([*waits, "run"], cwd=tmp_path)
    other = subprocess.Popen([*waits, "other"], cwd=tmp_path)
    try:
        # its words are those of its parent until it has begun
        until(lambda: [one.pid for one in process.workers(tmp_path / "run")] == [mine.pid])
    finally:
        for child in (mine, other):
            child.kill()
            child.wait()
