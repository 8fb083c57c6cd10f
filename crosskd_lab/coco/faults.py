"""What can be wrong with the records of a COCO-format set, found without changing anything."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from crosskd_lab.coco.sets import Document, Record, Split, is_text, is_whole

SLACK = 1.0  # pixels by which a box may leave its image; it is clipped
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and its values that swap sides

Fault = tuple[str, str] | None  # what is wrong with a record: kind and detail


@dataclass(frozen=True)
class Problem:
    """One bad record.

    Attributes:
        kind: what is wrong in two or three words, for counting.
        part: the list of the document it is in, "images" or "annotations".
        index: its position there, from 0.
        record: the record in words.
        detail: what is wrong with it in full.
    """

    kind: str
    part: str
    index: int
    record: str
    detail: str


def image_problems(document: Document, split: Split, read_images: bool) -> Iterator[Problem]:
    """The bad image records of a document, in its order, and the bad files that they name.

    With `read_images` every file is decoded; without, it has to be there and not empty.
    """
    images = document["images"]
    names = _names_by_id(images)
    seen: set[int] = set()

    def file_fault(image: Any) -> Fault:
        return _image_fault(image, split.images, read_images)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        faults = threads.map(file_fault, images)
        quiet = None if read_images else True  # None: quiet where there is no terminal
        progress = tqdm(faults, f"check {split.name}", len(images), unit="img", disable=quiet)
        for index, fault in enumerate(progress):
            image = images[index]
            fault = fault or _repeated_image(image["id"], names, seen)
            if fault:
                yield Problem(fault[0], "images", index, _image_words(image, index), fault[1])


def box_problems(document: Document) -> Iterator[Problem]:
    """The bad annotations of a document, in its order."""
    images = images_by_id(document)
    categories = {category["id"] for category in document["categories"]}
    seen: set[int] = set()
    for index, box in enumerate(document["annotations"]):
        fault = _box_fault(box, images, categories)
        if not fault and box["id"] in seen:
            fault = "duplicate id", "another annotation has the same id"
        if fault:
            words = _box_words(box, index, images)
            yield Problem(fault[0], "annotations", index, words, fault[1])
        else:
            seen.add(box["id"])


def images_by_id(document: Document) -> dict[int, Record]:
    """The image records that have a proper id and size, by id."""
    proper = {"id": is_whole, **_SIZE}
    return {i["id"]: i for i in document["images"] if not _field_fault(i, proper)}


def _is_length(value: object) -> bool:
    return _is_finite(value) and value > 0  # type: ignore[operator]


def _is_finite(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)  # type: ignore[arg-type]


def _is_list(value: object) -> bool:
    return isinstance(value, list)


_SIZE = {"width": _is_length, "height": _is_length}
_IMAGE = {"id": is_whole, "file_name": is_text, **_SIZE}
_BOX = {"id": is_whole, "image_id": is_whole, "category_id": is_whole, "bbox": _is_list}


def _field_fault(record: Any, fields: Mapping[str, Callable[[object], bool]]) -> Fault:
    if not isinstance(record, dict):
        return "bad record", "it is no JSON object"
    for key, fits in fields.items():
        if key not in record:
            return "missing key", f'it has no "{key}"'
        if not fits(record[key]):
            return "bad value", f'its "{key}" is {str(record[key])[:60]!r}'
    return None


def _names_by_id(images: list[Any]) -> dict[int, list[str]]:
    """The distinct file names that each image id is used for."""
    names: dict[int, list[str]] = {}
    for image in images:
        if not _field_fault(image, _IMAGE):
            known = names.setdefault(image["id"], [])
            known += [image["file_name"]] * (image["file_name"] not in known)
    return names


def _repeated_image(image_id: int, names: dict[int, list[str]], seen: set[int]) -> Fault:
    if len(names[image_id]) > 1:  # nobody can tell which of them the boxes belong to
        return "duplicate id", f"its id stands for {' and '.join(names[image_id])}"
    if image_id in seen:
        return "duplicate id", "it is listed twice"
    seen.add(image_id)
    return None


def _image_fault(image: Any, folder: Path, read_images: bool) -> Fault:
    fault = _field_fault(image, _IMAGE)
    if fault:
        return fault
    path = folder / image["file_name"]
    if not path.is_file():
        return "missing image", f"{path} does not exist"
    if path.stat().st_size == 0:
        return "empty image", f"{path} has no bytes"
    return _pixel_fault(path, image) if read_images else None


def _pixel_fault(path: Path, image: Record) -> Fault:
    try:
        with Image.open(path) as picture:
            picture.load()
            width, height = picture.size
            if picture.getexif().get(_ORIENTATION) in _ON_ITS_SIDE:
                width, height = height, width  # detectors' loaders turn it upright
    # Decoders raise whatever they stumble over, so any error means a file that cannot be used.
    except Exception as error:
        return "unreadable image", f"{path} cannot be decoded ({error})"
    if (width, height) != (image["width"], image["height"]):
        said = f"{image['width']} x {image['height']}"
        return "wrong size", f"{path} is {width} x {height} pixels, the record says {said}"
    return None


def _box_fault(box: Any, images: dict[int, Record], categories: set[int]) -> Fault:
    fault = _field_fault(box, _BOX)
    if fault:
        return fault
    if box["image_id"] not in images:
        return "unknown image", f"no proper image record has the id {box['image_id']}"
    if box["category_id"] not in categories:
        return "unknown category", f"no category has the id {box['category_id']}"
    return _extent_fault(box["bbox"], images[box["image_id"]])


def _extent_fault(bbox: list[Any], image: Record) -> Fault:
    if len(bbox) != 4 or not all(map(_is_finite, bbox)):
        return "bad box", f"its box {bbox} is not four finite numbers"
    x, y, width, height = bbox
    if width <= 0 or height <= 0:
        return "box without area", f"its box {bbox} (x, y, width, height) has no area"
    right, bottom = x + width - image["width"], y + height - image["height"]
    out = max(-x, -y, right, bottom)
    inside = x < image["width"] and y < image["height"] and x + width > 0 and y + height > 0
    if out >= SLACK or not inside:
        size = f"{image['width']} x {image['height']}"
        return "box outside image", f"its box {bbox} (x, y, width, height) leaves the {size} image"
    return None


def _image_words(image: Any, index: int) -> str:
    if _field_fault(image, {"id": is_whole, "file_name": is_text}):
        return f"images[{index}]"
    return f"image {image['id']} ({image['file_name']})"


def _box_words(box: Any, index: int, images: dict[int, Record]) -> str:
    if _field_fault(box, {"id": is_whole}):
        return f"annotations[{index}]"
    image = images.get(box["image_id"]) if is_whole(box.get("image_id")) else None
    return f"annotation {box['id']}" + (f" on {image.get('file_name')}" if image else "")
