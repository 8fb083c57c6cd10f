"""Writing the set: the same bytes each time, whole after any stop, never over others."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from crosskd_lab.data.scene_sets import data_checksum, write_scenes
from crosskd_lab.data.scenes import CLASSES, draw_scene, generator
from crosskd_lab.errors import LabError

SMALL = {"size": 32, "train": 40, "val": 6, "seed": 3}


def tree(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of a set made in one go."""
    return tree(write_scenes(tmp_path_factory.mktemp("scenes") / "new" / "set", **SMALL))


@pytest.fixture
def copy(whole, tmp_path):
    for name, content in whole.items():
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "set"


def test_layout_and_coco_document(whole):
    images = [f"train/{k:06d}.png" for k in range(40)] + [f"val/{k:06d}.png" for k in range(6)]
    other = ["annotations/train.json", "annotations/val.json", "manifest.json"]
    assert sorted(whole) == sorted([*images, *other])
    document = json.loads(whole["annotations/val.json"])
    assert document["categories"] == [{"id": k + 1, "name": n} for k, n in enumerate(CLASSES)]
    assert document["images"][1] == {"id": 2, "file_name": "000001.png", "width": 32, "height": 32}
    assert [a["id"] for a in document["annotations"]] == list(
        range(1, 1 + len(document["annotations"]))
    )
    scene = draw_scene(generator(3, "val", 4), 32)
    of_five = [a for a in document["annotations"] if a["image_id"] == 5]
    assert [a["bbox"] for a in of_five] == scene.boxes.tolist()
    assert [a["category_id"] for a in of_five] == (scene.labels + 1).tolist()
    assert [a["area"] for a in of_five] == scene.areas.tolist()
    assert list(of_five[0]) == ["id", "image_id", "category_id", "bbox", "area", "iscrowd"]


def test_images_hold_the_scene(copy):
    scene = draw_scene(generator(3, "train", 7), 32)
    assert np.array_equal(np.asarray(Image.open(copy / "train/000007.png")), scene.image)


@pytest.mark.parametrize("name", ["train/000039.png", "annotations/val.json"])
def test_one_file_that_is_lost_or_changed_is_found(name, copy, whole):
    (copy / name).write_bytes(b"")
    assert tree(write_scenes(copy, **SMALL)) == whole
    (copy / name).unlink()
    assert tree(write_scenes(copy, **SMALL)) == whole


def test_a_whole_set_is_not_made_again(copy, monkeypatch):
    monkeypatch.setattr("crosskd_lab.data.scene_sets.draw_scene", None)
    assert write_scenes(copy, **SMALL) == copy


def test_a_set_that_was_stopped_is_made_whole(whole, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("crosskd_lab.data.scene_sets._coco", stop)
        write_scenes(tmp_path, **SMALL)
    assert len(list((tmp_path / "train").glob("*.png"))) == 40
    for name in (".manifest.json.1.part", "train/.000599.png.1.part"):  # as a kill leaves them
        (tmp_path / name).write_bytes(b"half")
    assert tree(write_scenes(tmp_path, **SMALL)) == whole


def fill(folder, name, content):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


@pytest.mark.parametrize(
    "name, content",
    [
        ("photo.png", "mine"),
        ("train/000000.png", "mine"),
        ("annotations/train.json", "{}"),
        ("manifest.json", '{"name": "an app"}'),
        ("manifest.json", "no json"),
    ],
)
def test_foreign_files_are_refused_and_left_alone(name, content, tmp_path):
    fill(tmp_path, name, content)
    before = tree(tmp_path)
    with pytest.raises(LabError, match=f"holds {name.split('/')[0]}, .*give a new or empty folder"):
        write_scenes(tmp_path, **SMALL)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("change", [{"size": 64}, {"seed": 4}, {"train": 41}, {"test": 2}])
def test_other_scenes_are_refused_and_left_alone(change, copy, whole):
    with pytest.raises(LabError, match="holds other scenes .*size 32, seed 3, train 40, val 6"):
        write_scenes(copy, **{**SMALL, **change})
    assert tree(copy) == whole


@pytest.mark.parametrize("name", ["file", "file/set"])
def test_a_place_that_cannot_be_written_is_named(name, tmp_path):
    fill(tmp_path, "file", "mine")
    with pytest.raises(LabError, match=rf"{name} cannot be written .a file is where a folder is"):
        write_scenes(tmp_path / name, **SMALL)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"size": 10}, "image size 10"),
        ({"seed": -1}, "seed -1 is no seed"),
        ({"seed": 2**63}, f"seed {2**63} is no seed: give a whole number from 0 to {2**63 - 1}"),
        ({"train": -5}, "-5 train images"),
        ({"train": 0, "val": 0}, "no images asked for"),
    ],
)
def test_parameters_out_of_range_write_nothing(wrong, words, tmp_path):
    with pytest.raises(LabError, match=words):
        write_scenes(tmp_path / "out", **{**SMALL, **wrong})
    assert not (tmp_path / "out").exists()


def test_torch_and_opencv_are_not_imported():
    code = (
        "import sys, crosskd_lab.data.scenes, crosskd_lab.data.coco, crosskd_lab.cli.material\n"
        "assert not {'torch', 'cv2', 'pandas', 'mmdet'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})


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
