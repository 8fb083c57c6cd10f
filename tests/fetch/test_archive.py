"""Hostile and damaged zip files."""

from __future__ import annotations

import stat
import zipfile

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.fetch import extract


def packed(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members:
            archive.writestr(member, content)
    return path


def link(name):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def test_a_folder_is_unpacked_whole(tmp_path):
    good = packed(tmp_path / "a.zip", [("set/1.txt", "one"), ("set/sub/2.txt", "two")])
    folder = extract(good, tmp_path / "out", "set")
    assert (folder / "sub/2.txt").read_text() == "two"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["set"]
    with pytest.raises(LabError, match="exists: move it away"):
        extract(good, tmp_path / "out", "set")


@pytest.mark.parametrize(
    "hostile",
    [
        "../evil.txt",
        "set/../../evil.txt",
        "/tmp/evil-of-crosskd.txt",
        "set\\..\\..\\evil.txt",
        "C:\\evil.txt",
        "beside/evil.txt",
        link("set/way_out"),
    ],
    ids=lambda member: getattr(member, "filename", member),
)
def test_nothing_is_unpacked_if_one_member_would_leave(tmp_path, hostile):
    bad = packed(tmp_path / "a.zip", [("set/1.txt", "one"), (hostile, "/etc")])
    with pytest.raises(LabError, match="is not safe: .* nothing was unpacked"):
        extract(bad, tmp_path / "out", "set")
    assert list((tmp_path / "out").iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "out"]


def test_a_changed_byte_is_found_by_its_crc(tmp_path):
    whole = packed(tmp_path / "a.zip", [("set/1.txt", "one" * 100)])
    data = bytearray(whole.read_bytes())
    data[data.index(b"oneone")] ^= 1
    whole.write_bytes(data)
    with pytest.raises(LabError, match="is damaged .*CRC"):
        extract(whole, tmp_path / "out", "set")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"<html>sign in</html>"])
def test_what_is_no_zip_file_is_told(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(LabError, match="is damaged"):
        extract(tmp_path / "a.zip", tmp_path / "out", "set")
    with pytest.raises(LabError, match="cannot be unpacked"):
        extract(tmp_path / "none.zip", tmp_path / "out", "set")
