"""Checksums that name data."""

import hashlib

import pytest

from crosskd_lab.data.scene_sets import data_checksum, verify_scenes
from crosskd_lab.errors import LabError


def test_data_checksum_is_of_names_and_contents_of_annotation_files(tmp_path):
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / "val.json").write_bytes(b"b")
    (folder / "train.json").write_bytes(b"a")
    (tmp_path / "manifest.json").write_bytes(b"not counted")
    # What `cd annotations && sha256sum *.json | sha256sum | cut -c1-16` prints.
    a, b = hashlib.sha256(b"a").hexdigest(), hashlib.sha256(b"b").hexdigest()
    lines = f"{a}  train.json\n{b}  val.json\n"
    first = data_checksum(tmp_path)
    assert first == hashlib.sha256(lines.encode()).hexdigest()[:16]
    (folder / "val.json").rename(folder / "test.json")
    assert data_checksum(tmp_path) != first


def test_a_folder_without_annotations_has_no_checksum(tmp_path):
    with pytest.raises(LabError, match="no annotations/"):
        data_checksum(tmp_path)


def test_only_our_scenes_can_be_verified(tmp_path):
    (tmp_path / "manifest.json").write_text('{"parameters": {"generator": "another"}}')
    with pytest.raises(LabError, match=r"no manifest.json of `data scenes`"):
        verify_scenes(tmp_path)
