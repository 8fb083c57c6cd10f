"""What can be wrong with the records of a COCO-format set, found without changing anything."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from tqdm import tqdm

from crosskd_lab.coco.pixels import read_pixels
from crosskd_lab.coco.sets import Document, Record, Split, is_id, is_text, is_whole, shown
from crosskd_lab.errors import LabError

SLACK = 1.0  # pixels by which a box may leave its image; it is clipped
SLIMMEST = 50  # times that an image may be longer than wide: resized, something must be left of it

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
                words = _image_words(image, index)
                yield Problem(fault[0], "images", index, shown(words), shown(fault[1]))


def box_problems(document: Document) -> Iterator[Problem]:
    """The bad annotations of a document, in its order."""
    images = images_by_id(document)
    categories = {category["id"] for category in document["categories"]}
    seen = set()
    for index, box in enumerate(document["annotations"]):
        fault = _box_fault(box, images, categories)
        if not fault and is_whole(box.get("id")):
            what = (box["id"], box["image_id"], box["category_id"], *box["bbox"])
            if what in seen:
                fault = "duplicate id", "it is listed twice"
            seen.add(what)
        if fault:
            words = _box_words(box, index, images)
            yield Problem(fault[0], "annotations", index, shown(words), shown(fault[1]))


def images_by_id(document: Document) -> dict[int, Record]:
    """The image records that have a proper id and size, by id."""
    proper = {"id": is_whole, **_SIZE}
    return {i["id"]: i for i in document["images"] if not _field_fault(i, proper)}


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether a JSON value is a number that pixels are counted with."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < 2**31  # false for NaN


def is_marked(box: Record, key: str) -> bool | None:
    """Whether an annotation has the mark "iscrowd" or "ignore"; None where nobody can tell.

    Some tools write marks as text, or leave them empty.
    """
    value = box.get(key)
    if isinstance(value, list | dict) or value not in (None, "", "0", "1", 0, 1):
        return None
    return value in ("1", 1)


def clipped(bbox: list[float], image: Record) -> list[float]:
    """A box (x, y, width, height) without what is outside its image; the same list if nothing."""
    x, y, width, height = bbox
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, image["width"]), min(y + height, image["height"])
    if (left, top) == (x, y) and x + width <= right and y + height <= bottom:
        return bbox
    return [left, top, right - left, bottom - top]


def _is_length(value: object) -> bool:
    return is_finite(value) and value > 0


def _is_list(value: object) -> bool:
    return isinstance(value, list)


_SIZE = {"width": _is_length, "height": _is_length}
_IMAGE = {"id": is_whole, "file_name": is_text, **_SIZE}
_BOX = {"image_id": is_whole, "category_id": is_whole, "bbox": _is_list}


def _field_fault(record: Any, fields: Mapping[str, Callable[[object], bool]]) -> Fault:
    if not isinstance(record, dict):
        return "bad record", "it is no JSON object"
    for key, fits in fields.items():
        if key not in record:
            return "missing key", f'it has no "{key}"'
        if not fits(record[key]):
            return "bad value", f'its "{key}" is {reprlib.repr(record[key])}'
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
    sides = sorted((image["width"], image["height"]))
    if sides[1] > SLIMMEST * sides[0]:
        said = f"{image['width']} x {image['height']} pixels"
        return "slim image", f"of its {said} nothing is left when resized; cut it into parts"
    path = folder / image["file_name"]
    try:
        if not path.is_file():
            lacks = "is no file" if path.exists() else "does not exist"
            return "missing image", f"{path} {lacks}"
        if path.stat().st_size == 0:
            return "empty image", f"{path} has no bytes"
    except OSError as error:
        return "missing image", f"{path} cannot be read ({error.strerror})"
    return _pixel_fault(path, image) if read_images else None


def _pixel_fault(path: Path, image: Record) -> Fault:
    try:
        height, width, _ = read_pixels(path).shape
    except LabError as error:
        return "unreadable image", str(error)
    if (width, height) != (image["width"], image["height"]):
        said = f"{image['width']} x {image['height']}"
        return "wrong size", f"{path} is {width} x {height} pixels, the record says {said}"
    return None


def _box_fault(box: Any, images: dict[int, Record], categories: set[int]) -> Fault:
    fault = _field_fault(box, _BOX)
    if fault:
        return fault
    if box["image_id"] not in images:
        said = reprlib.repr(box["image_id"])
        return "unknown image", f"no proper image record has the id {said}"
    if box["category_id"] not in categories:
        return "unknown category", f"no category has the id {reprlib.repr(box['category_id'])}"
    for key in ("iscrowd", "ignore"):
        if is_marked(box, key) is None:
            return "bad value", f'its "{key}" is {reprlib.repr(box[key])}, neither 0 nor 1'
    return _extent_fault(box["bbox"], images[box["image_id"]])


def _extent_fault(bbox: list[Any], image: Record) -> Fault:
    said = f"its box {reprlib.repr(bbox)}"
    if len(bbox) != 4 or not all(map(is_finite, bbox)):
        return "bad box", f"{said} is not four finite numbers"
    said += " (x, y, width, height)"
    x, y, width, height = bbox
    if width <= 0 or height <= 0:
        return "box without area", f"{said} has no area"
    right, bottom = x + width - image["width"], y + height - image["height"]
    out = max(-x, -y, right, bottom)
    inside = x < image["width"] and y < image["height"] and x + width > 0 and y + height > 0
    if out >= SLACK or not inside:
        size = f"{image['width']} x {image['height']}"
        return "box outside image", f"{said} leaves the {size} image"
    if min(clipped(bbox, image)[2:]) < 1 or max(x + width, y + height) <= 1:
        hint = "give pixels, not shares of the image"
        return "box below a pixel", f"{said} is too small for training; {hint}"
    return None


def _image_words(image: Any, index: int) -> str:
    if _field_fault(image, {"id": is_id, "file_name": is_text}):
        return f"images[{index}]"
    return f"image {image['id']} ({image['file_name']})"


def _box_words(box: Any, index: int, images: dict[int, Record]) -> str:
    if not isinstance(box, dict):
        return f"annotations[{index}]"
    words = f"annotation {box['id']}" if is_id(box.get("id")) else f"annotations[{index}]"
    image = images.get(box["image_id"]) if is_whole(box.get("image_id")) else None
    return words + (f" on {image.get('file_name')}" if image else "")
