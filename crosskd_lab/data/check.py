"""Checking a COCO-format split record by record, and the split without its bad records."""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

from tqdm import tqdm

from ..errors import LabError, one_line
from ..files import write_whole
from .coco import (
    Document,
    Record,
    Split,
    find_split,
    is_id,
    is_text,
    is_whole,
    read_document,
    read_pixels,
    sorted_categories,
)

PARTS = ("images", "annotations", "categories")
SLACK = 1.0  # pixels by which a box may leave its image; it is clipped
SLIMMEST = 50  # times that an image may be longer than wide: resized, something must be left of it

Fault = tuple[str, str] | None  # what is wrong with a record: kind and detail


@dataclass(frozen=True)
class Problem:
    """One bad record: its ``kind`` in two or three words, for counting, and the ``record`` and the
    ``detail`` in full.
    """

    kind: str
    record: str
    detail: str


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


def _is_key(value: object) -> bool:
    """Whether an image may be told by it: a number, or a text such as "000001"."""
    return is_whole(value) or is_text(value)


def _is_length(value: object) -> bool:
    return is_finite(value) and value > 0


_SIZE = {"width": _is_length, "height": _is_length}
_NAMED = {"id": _is_key, "file_name": is_text}
_IMAGE = {**_NAMED, **_SIZE}
_BOX = {"image_id": _is_key, "category_id": is_whole, "bbox": lambda value: isinstance(value, list)}


def _field_fault(record: Any, fields: Mapping[str, Callable[[object], bool]]) -> Fault:
    if not isinstance(record, dict):
        return "bad record", "it is no JSON object"
    for key, fits in fields.items():
        if key not in record:
            return "missing key", f'it has no "{key}"'
        if not fits(record[key]):
            return "bad value", f'its "{key}" is {reprlib.repr(record[key])}'
    return None


def _image_faults(images: list[Any], split: Split, read_images: bool) -> list[Fault]:
    """What is wrong with each image record of a document, or with the file that it names."""
    ids = Counter(image["id"] for image in images if not _field_fault(image, _IMAGE))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = threads.map(lambda image: _image_fault(image, split.images, read_images), images)
        quiet = None if read_images else True  # None: quiet where there is no terminal
        bar = tqdm(found, f"check {split.name}", len(images), unit="img", disable=quiet)
        faults = list(bar)
    for index, image in enumerate(images):
        if not faults[index] and (count := ids[image["id"]]) > 1:  # which of them have the boxes?
            faults[index] = "duplicate id", f"{count} images have its id"
    return faults


def _image_fault(image: Any, folder: Path, read_images: bool) -> Fault:
    fault = _field_fault(image, _IMAGE)
    if fault:
        return fault
    sides = sorted((image["width"], image["height"]))
    if sides[1] > SLIMMEST * sides[0]:
        said = f"{image['width']} x {image['height']} pixels"
        return "slim image", f"of its {said} nothing is left when resized; cut it into parts"
    path = folder / image["file_name"]
    if not os.path.isfile(path):
        return "missing image", f"there is no file {path}"
    if not read_images:
        return None
    try:
        height, width, _ = read_pixels(path).shape
    except LabError as error:
        return "unreadable image", str(error)
    if (width, height) != (image["width"], image["height"]):
        said = f"{image['width']} x {image['height']}"
        return "wrong size", f"{path} is {width} x {height} pixels, the record says {said}"
    return None


def _box_fault(box: Any, images: dict[Any, Record], categories: set[int]) -> Fault:
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
    if max(-x, -y, x + width - image["width"], y + height - image["height"]) >= SLACK:
        size = f"{image['width']} x {image['height']}"
        return "box outside image", f"{said} leaves the {size} image"
    if min(clipped(bbox, image)[2:]) < 1 or max(x + width, y + height) <= 1:
        hint = "give pixels, not shares of the image"
        return "box below a pixel", f"{said} is too small for training; {hint}"
    return None


@dataclass(frozen=True)
class Report:
    """What a check found: how many records the annotation file has, how many are ``kept`` without
    the bad ones (the boxes of an image that is left out are left out with it), how many of those a
    training has ``seen`` (images with an annotation, boxes that mark no crowd), and how many were
    put right.
    """

    split: Split
    problems: tuple[Problem, ...]
    images: int
    boxes: int
    images_kept: int
    boxes_kept: int
    images_seen: int
    boxes_seen: int
    repaired: int

    def summary(self) -> str:
        """One line: what the split has or what was left out of it and why, and what is used."""
        rest = f"; {_count(self.repaired, 'record')} put right" if self.repaired else ""
        seen = f"{_count(self.boxes_seen, 'box', 'es')} on {_count(self.images_seen, 'image')}"
        rest += f"; training sees {seen}"
        if crowds := self.boxes_kept - self.boxes_seen:
            rest += f" and ignores {_count(crowds, 'crowd')}"
        if not self.boxes_seen:
            rest += ": nothing to learn, and no AP to measure"
        if not self.problems:
            has = f"{self.images} images, {self.boxes} boxes"
            return f"{self.split.name}: {has}, no bad record{rest}"
        kinds = Counter(problem.kind for problem in self.problems)
        why = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        images = f"{self.images - self.images_kept} of {self.images} images"
        boxes = f"{self.boxes - self.boxes_kept} of {self.boxes} boxes"
        return f"{self.split.name}: left out {images} and {boxes} ({why}){rest}"


def check(root: str | Path, split: str, skip_bad: bool = False) -> Report:
    """Check every record of a split, and decode its image files.

    LabError names the first bad record and how many more there are, unless ``skip_bad``; or no
    image is good, or the file as a whole is wrong.
    """
    return checked(find_split(root, split), skip_bad)[0]


def clean(
    root: str | Path, split: str, out: str | Path, skip_bad: bool = True
) -> tuple[Split, Report]:
    """The split fit for use: the set's own, or with a better annotation file in ``out``, never in
    the set.

    The file's name has a mark of its content, so what it says never changes: images that are put
    right, or others beside equal annotations, are another file.
    """
    found, out = find_split(root, split), Path(out)
    report, document = checked(found, skip_bad)
    raw = found.annotations.read_bytes()
    # COCO's tools take the encoding of the terminal and know no byte order mark.
    reads_alike = raw.isascii() and json.detect_encoding(raw) == "utf-8"
    if not report.problems and not report.repaired and reads_alike:
        return found, report
    own = {folder.resolve() for folder in (found.images, found.annotations.parent)}
    if own & {out.resolve(), *out.resolve().parents}:
        raise LabError(f"{out} is inside the data set; give a folder elsewhere")
    mark = hashlib.sha256(json.dumps(document).encode()).hexdigest()[:8]
    better = out / f"{split}-{mark}.json"
    write_whole(better, json.dumps(document, separators=(",", ":")) + "\n")
    return replace(found, annotations=better), report


def checked(split: Split, skip_bad: bool, read_images: bool = True) -> tuple[Report, Document]:
    """`check` for a split already found; returns the report and the document put right.

    Without ``read_images`` a file has to be there, and its pixels are trusted.
    """
    document = read_document(split.annotations)
    images, boxes = document["images"], document["annotations"]
    known = {image["id"]: image for image in images if not _field_fault(image, _IMAGE)}
    categories = {category["id"] for category in document["categories"]}
    image_faults = _image_faults(images, split, read_images)
    box_faults = [_box_fault(box, known, categories) for box in boxes]
    problems = _problems(images, image_faults, _image_name)
    problems += _problems(boxes, box_faults, partial(_box_name, images=known))
    if problems and not skip_bad:
        first, rest = problems[0], len(problems) - 1
        more = f"; {_count(rest, 'more bad record')}" if rest else ""
        remedy = "correct them, or give --skip-bad to leave them out"
        raise LabError(f"{split.annotations}: {first.record}: {first.detail}{more}; {remedy}")
    good = [image for image, fault in zip(images, image_faults, strict=True) if not fault]
    if not good:
        raise LabError(f"{split.annotations}: no image can be used; {problems[0].detail}")
    ids = {image["id"] for image in good}
    left = [
        box
        for box, fault in zip(boxes, box_faults, strict=True)
        if not fault and box["image_id"] in ids
    ]
    before = {**document, "images": good, "annotations": left}
    right = _put_right(before)
    pairs = (zip(before[part], right[part], strict=True) for part in PARTS)
    report = Report(
        split,
        tuple(problems),
        images=len(images),
        boxes=len(boxes),
        images_kept=len(good),
        boxes_kept=len(left),
        images_seen=len({box["image_id"] for box in left}),
        boxes_seen=sum(not box["iscrowd"] for box in right["annotations"]),
        repaired=sum(old != new for part in pairs for old, new in part),
    )
    return report, right


def _count(number: int, thing: str, more: str = "s") -> str:
    return f"{number} {thing}{more * (number != 1)}"


def _problems(
    records: list[Any], faults: list[Fault], name: Callable[[int, Any], str]
) -> list[Problem]:
    return [
        Problem(fault[0], one_line(name(index, record), 400), one_line(fault[1], 400))
        for index, (record, fault) in enumerate(zip(records, faults, strict=True))
        if fault
    ]


def _image_name(index: int, image: Any) -> str:
    if _field_fault(image, _NAMED):
        return f"images[{index}]"
    return f"image {image['id']} ({image['file_name']})"


def _box_name(index: int, box: Any, images: dict[Any, Record]) -> str:
    if _field_fault(box, {"id": is_id}):
        return f"annotations[{index}]"
    image = images.get(box["image_id"]) if _is_key(box.get("image_id")) else None
    return f"annotation {box['id']}" + (f" on {image['file_name']}" if image else "")


def _put_right(document: Document) -> Document:
    """A copy of a document of good records with what can be put right."""
    images = {image["id"]: image for image in document["images"]}
    ids: dict[Any, int] = {i: i for i in images}
    if not all(map(is_id, images)):
        ids = {i: number for number, i in enumerate(images, 1)}
    boxes = [_right_box(box, images[box["image_id"]], ids) for box in document["annotations"]]
    own = [box.get("id") for box in boxes]
    if not all(is_id(i) and i > 0 for i in own) or len(set(own)) < len(own):
        boxes = [{**box, "id": number} for number, box in enumerate(boxes, 1)]
    named = [
        # as posix: mmengine takes a "://" for a web address
        {**i, "id": ids[i["id"]], "file_name": Path(i["file_name"]).as_posix()}
        for i in document["images"]
    ]
    categories = sorted_categories(document)
    return {**document, "images": named, "annotations": boxes, "categories": categories}


def _right_box(box: Record, image: Record, ids: dict[Any, int]) -> Record:
    bbox = clipped(box["bbox"], image)
    area = box.get("area")
    if not (is_finite(area) and 0 < area <= image["width"] * image["height"]):
        area = bbox[2] * bbox[3]
    crowd = int(bool(is_marked(box, "iscrowd") or is_marked(box, "ignore")))
    right = {**box, "image_id": ids[box["image_id"]], "bbox": bbox, "area": area, "iscrowd": crowd}
    if box.get("ignore"):
        del right["ignore"]
    return right
