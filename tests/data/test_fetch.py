"""Damaged zip files, COCO 2017 in little, and public teachers by MMDetection's table."""

import dataclasses
import hashlib
import io
import json
import re
import zipfile
from pathlib import Path

import mmdet
import pytest

from crosskd_lab.configs import PUBLIC, local_file
from crosskd_lab.data import fetch as coco2017
from crosskd_lab.data.coco import find_split
from crosskd_lab.data.fetch import extract, get_coco, get_teacher
from crosskd_lab.errors import LabError


def packed(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members:
            archive.writestr(member, content)
    return path


def test_a_folder_is_unpacked_whole(tmp_path):
    good = packed(tmp_path / "a.zip", [("set/1.txt", "one"), ("set/sub/2.txt", "two")])
    folder = extract(good, tmp_path / "out", "set", 1)
    assert (folder / "sub/2.txt").read_text() == "two"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["set"]
    with pytest.raises(LabError, match="exists: move it away"):
        extract(good, tmp_path / "out", "set", 1)


@pytest.mark.parametrize("beside", ["../evil.txt", "set/../../evil.txt", "beside/evil.txt"])
def test_nothing_comes_out_but_the_folder(tmp_path, beside):
    held = packed(tmp_path / "a.zip", [("set/1.txt", "one"), (beside, "evil")])
    extract(held, tmp_path / "out", "set", 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "out"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["set"]
    with pytest.raises(LabError, match="holds no folder other: it is another archive"):
        extract(held, tmp_path / "out", "other", 1)


def test_a_changed_byte_is_found_by_its_crc(tmp_path):
    whole = packed(tmp_path / "a.zip", [("set/1.txt", "one" * 100)])
    data = bytearray(whole.read_bytes())
    data[data.index(b"oneone")] ^= 1
    whole.write_bytes(data)
    with pytest.raises(LabError, match="is damaged .*CRC"):
        extract(whole, tmp_path / "out", "set", 1)
    assert list((tmp_path / "out").iterdir()) == []


def test_more_than_is_known_of_the_set_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("set/zeros", bytes(5_000_000))
    with pytest.raises(LabError, match="unpacks to 0.005 GB: it is another archive"):
        extract(tmp_path / "a.zip", tmp_path / "out", "set", 0.004)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"<html>sign in</html>"])
def test_what_is_no_zip_file_is_told(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(LabError, match="is damaged"):
        extract(tmp_path / "a.zip", tmp_path / "out", "set", 1)
    with pytest.raises(LabError, match="cannot be unpacked"):
        extract(tmp_path / "none.zip", tmp_path / "out", "set", 1)


def test_a_flipped_byte_anywhere_is_one_line_or_harmless(tmp_path):
    whole = packed(tmp_path / "whole.zip", [])
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/1.txt", "one two three " * 20)
    data, refused = whole.read_bytes(), 0
    for place in range(len(data)):
        flipped = tmp_path / "flipped.zip"
        flipped.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            folder = extract(flipped, tmp_path / str(place), "set", 1)
        except LabError as error:
            refused += 1
            assert "\n" not in str(error)
            assert list((tmp_path / str(place)).iterdir()) == []
        else:
            assert [path.read_text() for path in folder.iterdir()] == ["one two three " * 20]
    assert refused > len(data) // 2


@pytest.fixture
def archives(monkeypatch):
    """Path to content of the zip files, two photographs a split."""
    small = {split: dataclasses.replace(part, images=2) for split, part in coco2017.IMAGES.items()}
    monkeypatch.setattr(coco2017, "IMAGES", small)
    document = json.dumps({"images": [{}], "annotations": [], "categories": []})
    members = {"annotations": [f"instances_{split}2017.json" for split in small]}
    members |= {f"{split}2017": ["1.jpg", "2.jpg"] for split in small}
    found = {}
    for part in [coco2017.ANNOTATIONS, *small.values()]:
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w") as archive:
            for name in members[part.folder]:
                archive.writestr(f"{part.folder}/{name}", document)
        found[f"/{part.path}"] = memory.getvalue()
    return found


def test_a_split_is_fetched_unpacked_and_found(site, archives, tmp_path):
    site.files = archives
    site.faults["/zips/val2017.zip"] = ["truncate"]
    root = get_coco(tmp_path / "coco", ["val"], mirror=f"{site.url}/")
    assert sorted(p.name for p in root.iterdir()) == ["annotations", "val2017"]
    assert find_split(root, "val").images == root / "val2017"
    asked = len(site.asked)
    get_coco(root, ["val"], mirror=site.url)
    assert len(site.asked) == asked, "what is there is kept"
    get_coco(root, mirror=site.url)
    assert [path for path, _ in site.asked[asked:]] == ["/zips/train2017.zip"]


def test_files_at_hand_are_used_and_stay(archives, tmp_path):
    have = tmp_path / "have"
    have.mkdir()
    for path, content in archives.items():
        (have / path.rsplit("/", 1)[1]).write_bytes(content)
    root = get_coco(tmp_path / "coco", source=have)
    assert len(list(root.glob("*/*.jpg"))) == 4 and len(list(have.iterdir())) == 3
    (have / "val2017.zip").unlink()
    with pytest.raises(LabError, match=r"lacks val2017\.zip: put them there"):
        get_coco(tmp_path / "other", source=have)
    assert not (tmp_path / "other").exists()


def test_a_folder_that_lacks_photographs_is_told(archives, tmp_path):
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017/1.jpg").touch()
    with pytest.raises(LabError, match="has 1 photographs of 2: move it away"):
        get_coco(tmp_path, ["val"])
    with pytest.raises(LabError, match="no split 'test' here"):
        get_coco(tmp_path, ["test"])
    (tmp_path / "annotations").mkdir()
    with pytest.raises(LabError, match="annotations lacks instances_val2017.json: move it away"):
        get_coco(tmp_path, ["val"])


def test_every_address_is_one_of_mmdets_metafiles():
    zoo = Path(mmdet.__file__).parent / ".mim/configs"
    for url in PUBLIC.values():
        family = url.removeprefix(coco2017.ZOO).split("/")[1]
        assert f"Weights: {url}\n" in (zoo / family / "metafile.yml").read_text()
        assert re.search(r"-[0-9a-f]{8}\.pth$", url), "its name ends in its checksum"


@pytest.fixture
def content(monkeypatch):
    """The little file that stands for one teacher, under a name with its checksum."""
    content = b"weights" * 1000
    name = f"/gfl/x-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setitem(PUBLIC, "tiny", coco2017.ZOO + name)
    return content


def test_a_teacher_is_fetched_and_checked(site, content, tmp_path):
    path = PUBLIC["tiny"].removeprefix(coco2017.ZOO)
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


def test_unknown_names_list_what_there_is():
    with pytest.raises(LabError, match="choose from gfl_r101, "):
        get_teacher("gfl_r1001")
