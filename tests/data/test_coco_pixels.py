"""What can be trained on is decoded as the loader does; what cannot is said."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from crosskd_lab.data.coco import read_pixels
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
@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_a_turned_photo_is_upright(kind, turn, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / f"turned.{kind}"
    Image.fromarray(RGB).save(path, exif=exif)
    assert_as_loaded(path)
    assert read_pixels(path).shape == ((40, 30, 3) if turn > 4 else (30, 40, 3))


@pytest.mark.parametrize("turn", range(2, 9))
def test_what_the_loader_does_not_turn_is_refused(turn, tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / "turned.jpg"
    Image.fromarray(RGB).save(path, exif=exif)
    decode, stored = cv2.imdecode, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: decode(data, stored))
    with pytest.raises(
        LabError, match=r"turned.jpg would be trained on unturned, .*save it upright"
    ):
        read_pixels(path)


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
