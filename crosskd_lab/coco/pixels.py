"""An image file as a training sees it: OpenCV decides, as it does in mmdet's loader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from crosskd_lab.coco.sets import shown
from crosskd_lab.errors import LabError

_ORIENTATION = 0x0112  # the EXIF tag; 1: upright


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """The pixels (H, W, 3) RGB that a training gets from an image file.

    Raises:
        LabError: OpenCV cannot decode the file or would not turn it upright, or it is cut short
            (Pillow tells; OpenCV may fill the rest with grey).
    """
    import cv2  # not above: whoever only reads records does without it

    name = shown(str(path))
    cv2.utils.logging.setLogLevel(0)  # what it would print is in our line
    try:
        with Image.open(path) as picture:
            picture.draft(None, (1, 1))  # all of a JPEG's bytes are read, few of its pixels made
            picture.load()
            turn = picture.getexif().get(_ORIENTATION, 1)
        data = np.frombuffer(path.read_bytes(), np.uint8)
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    # Decoders raise whatever they stumble over, so any error means a file that cannot be used.
    except Exception as error:
        raise LabError(f"{name} cannot be decoded ({error})") from error
    if pixels is None:
        raise LabError(
            f"{name} cannot be decoded by OpenCV, which training uses; save it as PNG or JPEG"
        )
    if turn != 1 and not np.array_equal(_upright(data, turn), pixels):
        raise LabError(f"{name} would be trained on unturned, its EXIF says turn; save it upright")
    return np.asarray(pixels[..., ::-1], dtype=np.uint8)


def _upright(data: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    import cv2

    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = Image.fromarray(np.asarray(cv2.imdecode(data, flags)))
    picture.getexif()[_ORIENTATION] = turn
    return np.asarray(ImageOps.exif_transpose(picture))
