"""Hostile and damaged zip files."""

import stat
import zipfile

import pytest

from crosskd_lab.data.fetch import extract
from crosskd_lab.errors import LabError


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


def test_more_than_is_known_of_the_set_is_not_unpacked(tmp_path):
    bomb = tmp_path / "a.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/zeros", bytes(5_000_000))
    assert bomb.stat().st_size < 10_000
    for known in ((), (4_999_999,)):
        with pytest.raises(LabError, match="unpacks to 0.005 GB.* nothing was unpacked"):
            extract(bomb, tmp_path / "out", "set", *known)
    assert list((tmp_path / "out").iterdir()) == []
    assert (extract(bomb, tmp_path / "out", "set", 5_000_000) / "zeros").stat().st_size == 5_000_000
    crowd = packed(tmp_path / "b.zip", [(f"set/{number}", "") for number in range(1000)])
    with pytest.raises(LabError, match="unpacks to 0.0041 GB"):  # a disk's block each
        extract(crowd, tmp_path / "crowd", "set")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_flipped_byte_anywhere_is_one_line_or_harmless(tmp_path, method):
    whole = packed(tmp_path / "whole.zip", [])
    with zipfile.ZipFile(whole, "w", method) as archive:
        archive.writestr("set/1.txt", "one two three " * 20)
    data, refused = whole.read_bytes(), 0
    for place in range(len(data)):
        flipped = tmp_path / "flipped.zip"
        flipped.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            folder = extract(flipped, tmp_path / str(place), "set")
        except LabError as error:
            refused += 1
            assert "\n" not in str(error)
            assert list((tmp_path / str(place)).iterdir()) == []
        else:
            assert [path.read_text() for path in folder.iterdir()] == ["one two three " * 20]
    assert refused > len(data) // 2
