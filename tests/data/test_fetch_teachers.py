"""Public teachers: the table against MMDetection's own, and what is fetched by it."""

import hashlib
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from pathlib import Path

import mmdet
import pytest

from crosskd_lab.configs import PUBLIC, local_file
from crosskd_lab.data import fetch as teachers
from crosskd_lab.data.fetch import get_teacher
from crosskd_lab.errors import LabError
from crosskd_lab.files import sole_writer


def test_every_address_is_one_of_mmdets_metafiles():
    zoo = Path(mmdet.__file__).parent / ".mim/configs"
    for url in PUBLIC.values():
        family = url.removeprefix(teachers.ZOO).split("/")[1]
        assert f"Weights: {url}\n" in (zoo / family / "metafile.yml").read_text()
        assert teachers.digits(url) == url[-12:-4]


@pytest.fixture
def content(monkeypatch):
    """The little file that stands for one teacher, under a name with its checksum."""
    content = b"weights" * 1000
    name = f"/gfl/x-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setitem(PUBLIC, "tiny", teachers.ZOO + name)
    return content


def test_a_teacher_is_fetched_and_checked(site, content, tmp_path):
    path = PUBLIC["tiny"].removeprefix(teachers.ZOO)
    site.files[path], site.faults[path] = content, ["truncate"]
    got = get_teacher("tiny", tmp_path, mirror=site.url)
    assert got == local_file("tiny", tmp_path) and got.read_bytes() == content
    got.unlink()
    site.faults[path] = ["corrupt"]
    with pytest.raises(LabError, match="is damaged"):
        get_teacher("tiny", tmp_path, mirror=site.url)
    assert list(tmp_path.iterdir()) == []


def test_a_file_at_hand_is_checked_and_copied(content, tmp_path):
    have, keep = tmp_path / "have", tmp_path / "keep"
    have.mkdir()
    with pytest.raises(LabError, match="put it there, or leave out --from"):
        get_teacher("tiny", keep, have)
    given = have / local_file("tiny").name
    given.write_bytes(content)
    assert get_teacher("tiny", keep, have).read_bytes() == content and given.is_file()
    given.write_bytes(b"other")
    assert get_teacher("tiny", keep, have), "what is kept is good and needs no copy"
    with pytest.raises(LabError, match="is damaged"):
        get_teacher("tiny", tmp_path / "fresh", have)
    assert not (tmp_path / "fresh").exists()


def test_of_two_who_copy_a_file_one_waits(content, tmp_path):
    (tmp_path / local_file("tiny").name).write_bytes(content)
    keep = tmp_path / "keep"
    with ThreadPoolExecutor(1) as pool, sole_writer(keep, local_file("tiny").name):
        waiting = pool.submit(get_teacher, "tiny", keep, tmp_path)
        with pytest.raises(TimeoutError):
            waiting.result(0.3)
        assert not list(keep.glob("*.pth"))
    assert waiting.result().read_bytes() == content


def test_unknown_names_list_what_there_is():
    with pytest.raises(LabError, match="choose from gfl_r101, "):
        get_teacher("gfl_r1001")
    with pytest.raises(LabError, match="names no checksum"):
        teachers.digits("weights.pth")
