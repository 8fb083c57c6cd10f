"""COCO 2017 in little: three zip files from a server or a folder."""

import dataclasses
import io
import json
import zipfile

import pytest

from crosskd_lab.data import fetch as coco2017
from crosskd_lab.data.coco import find_split
from crosskd_lab.data.fetch import get_coco
from crosskd_lab.errors import LabError


@pytest.fixture
def archives(monkeypatch):
    """Path to content of the zip files, two photographs a split."""
    small = {
        split: dataclasses.replace(part, images=2, gigabytes=1e-6)
        for split, part in coco2017.IMAGES.items()
    }
    monkeypatch.setattr(coco2017, "IMAGES", small)
    few = dataclasses.replace(coco2017.ANNOTATIONS, gigabytes=1e-6)
    monkeypatch.setattr(coco2017, "ANNOTATIONS", few)
    document = json.dumps({"images": [{}], "annotations": [], "categories": []})
    members = {"annotations": [f"instances_{split}2017.json" for split in small]}
    members |= {f"{split}2017": ["1.jpg", "2.jpg"] for split in small}
    found = {}
    for part in [few, *small.values()]:
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


def test_room_is_asked_for_before_anything_is_fetched(tmp_path, monkeypatch):
    huge = dataclasses.replace(coco2017.ANNOTATIONS, gigabytes=1e9)
    monkeypatch.setattr(coco2017, "ANNOTATIONS", huge)
    with pytest.raises(LabError, match="COCO 2017 needs 2e.*GB"):
        get_coco(tmp_path, ["val"], mirror="http://127.0.0.1:1")
