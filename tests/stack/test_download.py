"""Downloads from a server that truncates, stalls, corrupts and refuses."""

import hashlib
import shutil
import socket
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.stack.download import download

BODY = bytes(range(256)) * 4000
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def fetch(site, tmp_path):
    site.files["/f.bin"] = BODY

    def go(*faults, sha256=SHA[:8]):
        site.faults["/f.bin"] = list(faults)
        return download(f"{site.url}/f.bin", tmp_path / "new/f.bin", sha256, 0.3, 0.001)

    return go


def left(tmp_path):
    return sorted(path.name for path in (tmp_path / "new").glob("*"))  # none without the folder


def test_a_file_arrives_whole_and_is_not_fetched_again(fetch, site, tmp_path):
    assert fetch().read_bytes() == BODY and left(tmp_path) == ["f.bin"]
    fetch()
    assert site.asked == [("/f.bin", None)]


@pytest.mark.parametrize("fault", ["truncate", "stall"])
def test_what_has_come_is_kept_and_the_rest_asked_for(fetch, site, fault):
    assert fetch(fault, fault, 503).read_bytes() == BODY
    half, three_quarters = len(BODY) // 2, len(BODY) * 3 // 4
    later = [f"bytes={half}-", f"bytes={three_quarters}-", f"bytes={three_quarters}-"]
    assert [wanted for _, wanted in site.asked] == [None, *later]


def test_three_who_want_the_same_file_get_it_whole_and_ask_once(site, tmp_path):
    site.files["/f.bin"], site.faults["/f.bin"] = BODY, ["truncate"]
    target, url = tmp_path / "new/f.bin", f"{site.url}/f.bin"
    with ThreadPoolExecutor(3) as pool:  # each opens the lock for itself, as processes do
        for got in pool.map(lambda _: download(url, target, SHA, 0.3, 0.05), range(3)):
            assert got.read_bytes() == BODY
    assert len(site.asked) == 2 and left(tmp_path) == ["f.bin"], "one began, and went on"


def test_a_server_that_cannot_resume_is_heard_from_the_start(fetch):
    assert fetch("truncate", "no-range").read_bytes() == BODY


def test_an_interrupted_command_goes_on_later(fetch, site, tmp_path):
    with pytest.raises(LabError, match=r"503 .* 5 times in a row; 512000 bytes are kept"):
        fetch("truncate", *[503] * 5)
    assert left(tmp_path) == [".f.bin.part"]
    assert fetch().read_bytes() == BODY and site.asked[-1][1] == "bytes=512000-"


@pytest.mark.parametrize("kept", [BODY, BODY + b"more"], ids=["all there", "of another file"])
def test_a_part_of_which_nothing_is_missing_is_fetched_once_more(fetch, tmp_path, kept):
    (tmp_path / "new").mkdir()
    (tmp_path / "new/.f.bin.part").write_bytes(kept)
    assert fetch().read_bytes() == BODY and left(tmp_path) == ["f.bin"]


def test_a_damaged_file_is_refused_and_removed(fetch, tmp_path):
    with pytest.raises(LabError, match=f"must begin {SHA[:8]}"):
        fetch("corrupt")
    assert left(tmp_path) == []
    assert fetch().read_bytes() == BODY, "the next try starts over"


def test_a_file_that_is_there_is_checked(fetch, tmp_path):
    fetch().write_bytes(b"changed")
    with pytest.raises(LabError, match="is damaged"):
        fetch()


@pytest.mark.parametrize("code", [403, 404])
def test_a_refusal_is_told_at_once(fetch, site, code):
    with pytest.raises(LabError, match=f": {code} .*--mirror.*--from DIR"):
        fetch(code)
    assert len(site.asked) == 1


def test_offline_is_one_plain_line(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(LabError, match="cannot be reached .*: check that this machine is online"):
        download(f"http://127.0.0.1:{port}/f", tmp_path / "f")

    def no_such_name(*_args, **_more):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    with pytest.raises(LabError, match=r"reached \(Name or service not known\)") as told:
        download("http://nowhere.example/f", tmp_path / "f")
    assert "\n" not in str(told.value) and list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_the_first_byte(fetch, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    with pytest.raises(LabError, match=r"f\.bin needs 0\.00102 GB"):
        fetch()
    assert left(tmp_path) == []


def test_only_web_addresses_are_fetched(tmp_path):
    with pytest.raises(LabError, match="no http or https"):
        download("file:///etc/hostname", tmp_path / "f")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"HTTP/1.1 302 Moved\r\nLocation: file:///etc/hostname\r\n\r\nx...", "not allowed"),
        (b"HTTP/1.1 302 Moved\r\nLocation: ftp://x/y\r\n\r\nx...", "sends us on to"),
        (b"HTTP/1.1 302 Moved\r\nLocation: /f.bin\r\n\r\n", "302 .*loop"),
        (b"HTTP/1.1 404 \x1b[31m\tGone\r\n\r\n", ": 404 "),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ": 204, and not what was asked for"),
        (b"HTTP/1.1 206 Partial Content\r\n\r\nabc", ": 206, and not what was asked for"),
        (b"HTTP/1.1 416 No\r\nContent-Range: bytes */0\r\n\r\n", ": 416 No"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc", "is damaged"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc", "is damaged"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nabc", "is damaged"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 18 + b"\r\n\r\nabc", "needs 1e"),
        (b"HTTP/1.1 200 OK\r\n\r\nx...", "sends without end"),
        (b"no web server...", "5 times in a row"),
    ],
)
def test_an_answer_that_makes_no_sense_is_one_line(fetch, tmp_path, monkeypatch, answer, complaint):
    monkeypatch.setattr("crosskd_lab.stack.download.LARGEST", 2_000_000)
    (tmp_path / "new").mkdir()
    (tmp_path / "new/.f.bin.part").write_bytes(b"some")
    with pytest.raises(LabError, match=complaint) as told:
        fetch(*[answer] * 30)
    assert str(told.value).isprintable()
    assert "f.bin" not in left(tmp_path)


def test_one_is_sent_on_within_the_web(fetch, site):
    site.files["/there"] = BODY
    assert fetch(b"HTTP/1.1 302 Moved\r\nLocation: /there\r\n\r\n").read_bytes() == BODY
    assert [path for path, _ in site.asked] == ["/f.bin", "/there"]


@pytest.mark.parametrize("address", ["http://[::1", "http://a b/", "http://x:port/f", "http://"])
def test_what_is_no_address_is_told(tmp_path, address):
    with pytest.raises(LabError) as told:
        download(address, tmp_path / "f", timeout=0.3, pause=0.001)
    assert str(told.value).isprintable()
