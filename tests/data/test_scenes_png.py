"""PNG files: other people's readers read them, and no compressor has a say in their bytes."""

import hashlib
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from crosskd_lab.data.scenes import encode_png


@pytest.mark.parametrize("height, width", [(1, 1), (5, 7), (160, 160), (145, 151)])
def test_two_readers_give_back_the_pixels(height, width):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    data = encode_png(image)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), image)
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(bgr[:, :, ::-1], image)


def test_blocks_of_exactly_the_largest_size():
    image = np.zeros((65535 // 5, 1, 3), dtype=np.uint8)  # rows of 4 bytes; next to the limit
    assert np.asarray(Image.open(io.BytesIO(encode_png(image)))).shape == image.shape
    image = np.full((21845, 1, 3), 9, dtype=np.uint8)[: 65535 // 4 + 1]
    assert (np.asarray(Image.open(io.BytesIO(encode_png(image)))) == 9).all()
    full = np.full((257, 85, 3), 7, dtype=np.uint8)[:255]  # 255 rows of 256 bytes
    assert (np.asarray(Image.open(io.BytesIO(encode_png(full)))) == 7).all()


def test_a_black_pixel_is_these_bytes():
    # Written out by hand from the PNG specification; the checksums are those of the standard.
    data = encode_png(np.zeros((1, 1, 3), dtype=np.uint8))
    assert data[:33].hex() == ("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de")
    assert data[33:41].hex() == "0000000f49444154"
    assert data[41:56].hex() == "7801010400fbff0000000000040001"
    assert data[-12:].hex() == "0000000049454e44ae426082"


def test_size_in_bytes_follows_from_the_pixels():
    zero, noise = np.zeros((160, 160, 3), np.uint8), np.random.default_rng(0)
    noisy = noise.integers(0, 256, (160, 160, 3), dtype=np.uint8)
    assert len(encode_png(zero)) == len(encode_png(noisy)) == 160 * 481 + 2 * 5 + 2 + 4 + 57
    assert hashlib.sha256(encode_png(zero)).digest() != hashlib.sha256(encode_png(noisy)).digest()
