"""COCO-format sets: what can be trained on is found and decoded as the loader does; what cannot is
said."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from crosskd_lab.data.coco import (
    find_split,
    find_splits,
    read_classes,
    read_document,
    read_pixels,
)
from crosskd_lab.errors import LabError

RGB = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8), (0, 0), 2)
GOOD = {
    "a.jpg": "RGB",
    "cmyk.jpg": "CMYK",
    "grey.jpg": "L",
    "a.png": "RGB",
    "palette.png": "P",
    "bits.png": "1",
    "alpha.png": "RGBA",
    "grey_alpha.png": "LA",
    "a.bmp": "RGB",
    "a.tif": "RGB",
    "a.webp": "RGB",
    "a.gif": "RGB",
    "a.ppm": "RGB",
}


def assert_as_loaded(path):
    loaded = LoadImageFromFile().transform({"img_path": str(path)})["img"]
    assert np.array_equal(read_pixels(path), loaded[..., ::-1])


@pytest.mark.parametrize("name", GOOD)
def test_pixels_are_those_that_the_loader_has(name, tmp_path):
    Image.fromarray(RGB).convert(GOOD[name]).save(tmp_path / name)
    assert_as_loaded(tmp_path / name)


def test_the_first_picture_of_an_animation_counts(tmp_path):
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert_as_loaded(tmp_path / "a.gif")
    assert (read_pixels(tmp_path / "a.gif") == (255, 0, 0)).all()


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_sixteen_bits_keep_their_upper_eight(kind, tmp_path):
    path = tmp_path / f"deep.{kind}"
    cv2.imwrite(str(path), RGB[..., ::-1].astype(np.uint16) * 256 + 99)
    assert_as_loaded(path)
    assert np.array_equal(read_pixels(path), RGB)


@pytest.mark.parametrize("turn", range(2, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
def test_a_turned_photo_is_upright(kind, turn, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"turned.{kind}"
    Image.fromarray(RGB).save(path, exif=exif)
    assert_as_loaded(path)
    assert read_pixels(path).shape == ((40, 30, 3) if turn > 4 else (30, 40, 3))


def test_what_the_loader_does_not_turn_is_refused(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "turned.avif", exif=exif)
    said = r"turned.avif would be trained on unturned, .*save it upright"
    with pytest.raises(LabError, match=said):
        read_pixels(tmp_path / "turned.avif")


@pytest.mark.parametrize("name, mode", [("a.tga", "RGB"), ("a.pcx", "RGB"), ("float.tif", "F")])
def test_what_the_loader_cannot_decode_is_refused(name, mode, tmp_path):
    Image.fromarray(RGB).convert("L" if mode == "F" else "RGB").convert(mode).save(tmp_path / name)
    with pytest.raises(LabError, match=f"{name} cannot be decoded by OpenCV.*PNG or JPEG"):
        read_pixels(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_file_cut_short_is_refused(name, tmp_path):
    path = tmp_path / name
    Image.fromarray(RGB).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LabError, match=f"{name} cannot be decoded"):
        read_pixels(path)


def make(root, annotations, images):
    (root / images).mkdir(parents=True)
    (root / annotations).parent.mkdir(parents=True, exist_ok=True)
    (root / annotations).write_text("{}")


@pytest.mark.parametrize(
    "annotations, images",
    [
        ("annotations/val.json", "val"),
        ("annotations/instances_val2017.json", "val2017"),
        ("annotations/val.json", "images"),
    ],
)
def test_each_layout_is_found(annotations, images, tmp_path):
    make(tmp_path, annotations, images)
    split = find_split(tmp_path, "val")
    assert split.name == "val"
    assert split.annotations == tmp_path / annotations
    assert split.images == tmp_path / images


def test_what_is_not_found_is_listed(tmp_path):
    make(tmp_path, "annotations/train.json", "images")
    with pytest.raises(LabError) as error:
        find_split(tmp_path, "val")
    for tried in ("annotations/val.json with val/", "instances_val2017.json with val2017/"):
        assert tried in str(error.value)
    with pytest.raises(LabError, match="nowhere is no folder"):
        find_split(tmp_path / "nowhere", "val")


def test_all_splits_there_are(tmp_path, capsys):
    make(tmp_path, "annotations/train.json", "train")
    make(tmp_path, "annotations/test.json", "test")
    assert [split.name for split in find_splits(tmp_path)] == ["train", "test"]
    with pytest.raises(LabError, match="has no train split"):
        find_splits(tmp_path / "train")
    (tmp_path / "test").rename(tmp_path / "tests")
    assert [split.name for split in find_splits(tmp_path)] == ["train"]
    assert "has no test split; looked for annotations/test.json with" in capsys.readouterr().err


def test_classes_come_in_order_of_category_id(tiny):
    tiny.document["categories"] = [{"id": 7, "name": "z"}, {"id": 2, "name": "y"}]
    tiny.save()
    assert read_classes(tiny.annotations) == ("y", "z")


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"images": [', r"is broken \(.*line 1"),
        ("", r"is broken \("),
        ("[]", "no JSON object"),
        ('{"images": [], "annotations": []}', 'no list "categories"'),
        ('{"images": {}, "annotations": [], "categories": []}', 'no list "images"'),
        ({"categories": []}, "lists no categories"),
        ({"images": []}, "lists no images"),
        ({"categories": [{"id": 1}]}, r'categories\[0\] has no proper "name"'),
        ({"categories": [{"id": "1", "name": "a"}]}, r'categories\[0\] has no proper "id"'),
        ({"categories": [{"id": 2**63, "name": "a"}]}, r'categories\[0\] has no proper "id"'),
        ({"categories": [{"id": 1, "name": "a\nb"}]}, r'categories\[0\] has no proper "name"'),
        ({"categories": [{"id": 1, "name": "\ud800"}]}, r'categories\[0\] has no proper "name"'),
        ({"categories": [3]}, r'categories\[0\] has no proper "id"'),
        ({"categories": [{"id": 1, "name": "a"}] * 2}, "two categories have the id 1"),
        (
            {"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]},
            "two categories have the name 'a'",
        ),
        (
            {"categories": [{"id": 1, "name": "\xe9 a"}, {"id": 2, "name": "e\u0301  a "}]},
            "two categories have the name '\xe9 a'",
        ),
        ({"categories": [{"id": 1, "name": " "}]}, r'categories\[0\] has no proper "name"'),
    ],
)
def test_a_file_wrong_as_a_whole_is_named(tiny, text, words):
    if isinstance(text, dict):
        text = json.dumps({**tiny.document, **text})
    tiny.annotations.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LabError, match=words) as error:
        read_document(tiny.annotations)
    assert str(tiny.annotations) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(LabError, match=r"gone.json cannot be read \(No such file"):
        read_classes(tmp_path / "gone.json")


@pytest.mark.parametrize("what", [Path.is_file, Path.is_dir])
def test_a_folder_that_may_not_be_read_is_named(tiny, monkeypatch, what):
    def denied(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, what.__name__, denied)
    with pytest.raises(LabError, match=r"set cannot be read \(Permission denied\)"):
        find_split(tiny.root, "val")
