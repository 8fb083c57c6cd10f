"""Processes apart from everything: found by birth, not by number; ended with their children."""

import json
import subprocess
import sys
import time

import psutil

from crosskd_lab.launch import process

SLEEPS = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print(p.pid, flush=True); time.sleep(60)"  # noqa: E501
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


def test_the_end_takes_the_children_too():
    child, grandchild = spawn(SLEEPS)
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
