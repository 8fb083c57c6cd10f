"""A file is written whole or not at all; a folder is written by one process at a time."""

import errno
import fcntl
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.files import (
    LAUNCH,
    LAUNCHED,
    Busy,
    hand_over,
    holder,
    open_folder,
    plain_name,
    read_json,
    sha256,
    sole_writer,
    usable_cores,
    write_whole,
)


def test_text_and_bytes_replace_what_was_there(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    write_whole(target, "nèw")
    assert target.read_bytes() == "nèw".encode()
    write_whole(target, b"\x00\x01")
    assert target.read_bytes() == b"\x00\x01"
    with pytest.raises(LabError, match="cannot be written"):
        write_whole("", "what has no name")
    with pytest.raises(LabError, match="cannot be written .File name too long"):
        write_whole(tmp_path / ("x" * 300), "too long a name")


def test_a_link_stays_one_and_a_pipe_is_written_into(tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    write_whole(tmp_path / "link.csv", "new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit((tmp_path / "pipe").read_text)
        write_whole(tmp_path / "pipe", "told")
        assert heard.result(20) == "told" and (tmp_path / "pipe").is_fifo()
    words = "from crosskd_lab.files import write_whole; write_whole('/dev/stdout', 'a table')"
    told = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True)
    assert told.stdout == "a table" and Path("/dev/stdout").is_symlink()


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr("crosskd_lab.files.os.replace", full_disk)
    with pytest.raises(LabError, match="cannot be written .no space left.: free some space"):
        write_whole(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"


HOLDS = """
import sys, time
from crosskd_lab.files import sole_writer
with sole_writer(sys.argv[1]):
    print("on", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(folder, seconds=60):
    """Another process that writes into a folder."""
    words = [sys.executable, "-c", HOLDS, str(folder), str(seconds)]
    other = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "on\n"
    return other


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    other = hold(tmp_path / "new" / "run")
    try:
        with (
            pytest.raises(Busy) as error,
            sole_writer(tmp_path / "new" / "run", patience=0),
        ):
            pytest.fail("two writers")
        who = f"process {other.pid} on {socket.gethostname()} (-c {tmp_path}/new/run 60)"
        assert str(error.value).startswith(f"{tmp_path}/new/run is being written by {who}: wait")
        assert holder(tmp_path / "new" / "run") == who
        with sole_writer(tmp_path / "new"), sole_writer(tmp_path / "new" / "run", LAUNCH):
            pass  # other folders and other locks are free
    finally:
        other.kill()
        other.wait()
    assert holder(tmp_path / "new" / "run") == "", "the kernel let go of it"
    with sole_writer(tmp_path / "new" / "run", patience=0):
        assert str(os.getpid()) in holder(tmp_path / "new" / "run")
    assert not list(tmp_path.rglob(".*")), "what the kill left is gone"


def test_an_end_lets_the_next_one_in_and_leaves_nothing(tmp_path):
    other = hold(tmp_path / "run", 0.2)
    with sole_writer(tmp_path / "run", patience=30):
        (tmp_path / "run" / "file").touch()
    other.wait()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["file"]
    with pytest.raises(ValueError), sole_writer(tmp_path / "other" / "deep"):
        raise ValueError
    assert not (tmp_path / "other").exists(), "nothing had come of it"


def test_who_holds_it_is_asked_without_being_in_the_way(tmp_path):
    with sole_writer(tmp_path):
        before = holder(tmp_path)
        assert before and holder(tmp_path) == before
    assert holder(tmp_path) == holder(tmp_path / "nowhere") == ""


def test_it_is_handed_over_to_who_is_launched(tmp_path, monkeypatch):
    with sole_writer(tmp_path, LAUNCH) as lock:
        code = [sys.executable, "-c", "import time; time.sleep(60)"]
        child = subprocess.Popen(code, pass_fds=[lock])
        hand_over(lock, child.pid)
    assert holder(tmp_path, LAUNCH).startswith(f"process {child.pid} on ")
    launched = rf"is being written by process {child.pid} on "
    with pytest.raises(Busy, match=launched), sole_writer(tmp_path, patience=0):
        pytest.fail("the folder is that process's, which has not begun to write")
    with monkeypatch.context() as patch, sole_writer(patch.setenv(LAUNCHED, "1") or tmp_path):
        pass  # as that process may
    child.kill()
    child.wait()
    assert holder(tmp_path, LAUNCH) == ""
    with sole_writer(tmp_path, patience=0):
        pass


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, capsys):
    def without(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without)
    with sole_writer(tmp_path):
        assert holder(tmp_path) == ""
    assert "file system without locks (No locks available): see to it" in capsys.readouterr().err


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "file/run"):
        where = rf"/{name} cannot be written \(a file is where a folder is meant\)"
        with pytest.raises(LabError, match=where), sole_writer(tmp_path / name):
            pass
        with pytest.raises(LabError, match=r"written \(a file is where a folder is meant\)"):
            open_folder(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_made_and_tried_before_work_begins(tmp_path, monkeypatch):
    assert open_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert not list((tmp_path / "a" / "b").iterdir())

    def full_disk(dir):
        return Path("/dev/full").open("wb")

    monkeypatch.setattr("crosskd_lab.files.TemporaryFile", full_disk)
    with pytest.raises(LabError, match=r"cannot be written \(No space left on device\): free"):
        open_folder(tmp_path / "a")


def test_the_next_writer_clears_what_a_kill_left_half_written(tmp_path):
    (tmp_path / ".record.json.123.part").touch()
    (tmp_path / "mine.part").touch()
    with sole_writer(tmp_path):
        assert sorted(path.name for path in tmp_path.glob("*.part")) == ["mine.part"]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.part"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"[" * 99999, b'{"a": ' + b"1" * 400 + b"}"]
)
def test_what_is_no_object_is_named_with_its_remedy(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(LabError, match=r"a\.json is broken \(.*\): delete it"):
        read_json(tmp_path / "a.json", "delete it")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_json_is_read_in_every_unicode(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes('[{"é": -9223372036854775808}]'.encode(encoding))
    assert read_json(tmp_path / "a.json", "", kind=list) == [{"é": -(2**63)}]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("folder.json", "it is no file but a folder, a pipe or the like"),
        ("pipe.json", "it is no file but a folder, a pipe or the like"),
        ("gone.json", "No such file or directory"),
        ("x" * 300 + ".json", "File name too long"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, why):
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(LabError) as error:
        read_json(tmp_path / name, "delete it")
    assert str(error.value).endswith(f" cannot be read ({why}): delete it")


def test_sha256_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")  # the example of FIPS 180
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(path) == expected
    path.write_bytes(b"x" * (3 << 20))
    assert sha256(path) == hashlib.sha256(b"x" * (3 << 20)).hexdigest()


def test_shared_memory_is_a_disk_like_any_other():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        write_whole(Path(folder) / "new" / "er" / "a.txt", "whole")
        assert (Path(folder) / "new" / "er" / "a.txt").read_text() == "whole"


@pytest.mark.parametrize(
    ("quota", "cores"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("", 8)]
)
def test_a_containers_share_of_time_counts_as_cores(tmp_path, monkeypatch, quota, cores):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr("crosskd_lab.files.CGROUP", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    assert usable_cores() == cores


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs/x-0.5-s0", "x-0.5-s0"),
        ("a/b.pth", "b"),
        ("gfl.safetensors", "gfl"),
        ("pocket/kd.py", "kd"),
    ],
)
def test_a_path_by_its_plain_name(path, name):
    assert plain_name(path) == name
