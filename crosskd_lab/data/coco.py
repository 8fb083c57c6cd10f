"""COCO-format detection sets on disk: where a split is, its records, one decoder for its images."""

import unicodedata
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import LabError, tell_once
from ..files import one_spelling, read_json

Document = dict[str, Any]  # a parsed annotation file
Record = dict[str, Any]  # one entry of its lists
_ORIENTATION = 0x0112  # the EXIF tag; 1: upright

# (annotation file, image folder): ours, COCO 2017's, and one image folder for all splits.
LAYOUTS = (
    ("annotations/{}.json", "{}"),
    ("annotations/instances_{}2017.json", "{}2017"),
    ("annotations/{}.json", "images"),
)


@dataclass(frozen=True)
class Split:
    """Where a split is: its name, annotation file and image folder."""

    name: str
    annotations: Path
    images: Path


def find_split(root: str | Path, split: str) -> Split:
    """Find the annotation file and the image folder of "train", "val", "test" or the like.

    LabError where no layout of `LAYOUTS` fits, listing what was looked for, or none may be read.
    """
    root = Path(root)
    tried = []
    try:
        if not root.is_dir():
            raise LabError(f"{root} is no folder; give the folder of a COCO-format set")
        for layout in LAYOUTS:
            annotations, images = (root / part.format(split) for part in layout)
            if annotations.is_file() and images.is_dir():
                return Split(split, annotations, images)
            tried.append(f"{layout[0].format(split)} with {layout[1].format(split)}/")
    except OSError as error:
        raise LabError(f"{root} cannot be read ({error.strerror}); check the path") from error
    raise LabError(f"{root} has no {split} split; looked for {', '.join(tried)}")


def find_splits(root: str | Path) -> list[Split]:
    """The splits among train, val and test that a folder has; LabError for none.

    One whose images are missing is passed over and told: COCO's annotations come for train and val.
    """
    found, missing = [], []
    for name in ("train", "val", "test"):
        try:
            found.append(find_split(root, name))
        except LabError as error:
            missing.append(error)
            if any((Path(root) / file.format(name)).is_file() for file, _ in LAYOUTS):
                tell_once(str(error))
    if not found:
        raise missing[0]
    return found


def read_document(annotations: str | Path) -> Document:
    """Parse an annotation file and check what every use of it needs; LabError where it is lacking.

    The document with lists "images" and "annotations" of unchecked entries, and a list "categories"
    that is not empty and has distinct "id" (`is_id`) and "name" (`is_name`, put into
    `one_spelling`).
    """
    path = Path(annotations)
    document = read_json(path, "give a COCO annotation file", int)
    for key in ("images", "annotations", "categories"):
        if not isinstance(document.get(key), list):
            raise LabError(f'{path} has no list "{key}"; give a COCO annotation file')
    _check_categories(path, document["categories"])
    if not document["images"]:
        raise LabError(f"{path} lists no images; give a set that has some")
    return document


def read_classes(annotations: str | Path) -> tuple[str, ...]:
    """The class names of an annotation file in the order of their category ids."""
    return tuple(c["name"] for c in sorted_categories(read_document(annotations)))


def sorted_categories(document: Document) -> list[Record]:
    """The categories of a document in the order of their ids."""
    return sorted(document["categories"], key=lambda category: category["id"])


def is_whole(value: object) -> bool:
    """Whether a JSON value is a whole number (true and false are not)."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_id(value: Any) -> TypeGuard[int]:
    """Whether a JSON value is an id that every number type of COCO's tools holds exactly."""
    return is_whole(value) and abs(value) < 2**53


def is_text(value: object) -> bool:
    """Whether a JSON value is a text that is not empty."""
    return isinstance(value, str) and bool(value)


def is_name(value: object) -> bool:
    """Whether a JSON value is a text that can be written and drawn in one line."""
    odd = (unicodedata.category(c) in ("Cc", "Cs") for c in str(value))
    return isinstance(value, str) and bool(one_spelling(value)) and not any(odd)


def _check_categories(path: Path, categories: list[Any]) -> None:
    if not categories:
        raise LabError(f"{path} lists no categories; give a set that names its classes")
    for key, fits in (("id", is_id), ("name", is_name)):
        seen = set()
        for position, category in enumerate(categories):
            value = category.get(key) if isinstance(category, dict) else None
            if not fits(value):
                raise LabError(f'{path}: categories[{position}] has no proper "{key}"; give one')
            if key == "name":
                category["name"] = value = one_spelling(str(value))
            if value in seen:
                raise LabError(f"{path}: two categories have the {key} {value!r}; rename one")
            seen.add(value)


# Of images that are large and sound, as those from the air; larger ones are refused.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """The pixels (H, W, 3) RGB that a training gets from an image file.

    LabError where OpenCV cannot decode the file or would not turn it upright, or it is cut short
    (Pillow tells; OpenCV may fill the rest with grey).
    """
    import cv2  # not above: whoever only reads records does without it

    cv2.utils.logging.setLogLevel(0)  # what it would print is in our line
    try:
        with Image.open(path) as picture:
            picture.draft(None, (1, 1))  # all of a JPEG's bytes are read, few of its pixels made
            picture.load()
            unturned = picture.format == "AVIF" and picture.getexif().get(_ORIENTATION, 1) != 1
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    # Decoders raise whatever they stumble over, so any error means a file that cannot be used.
    except Exception as error:
        raise LabError(f"{path} cannot be decoded ({error})") from error
    if pixels is None:
        raise LabError(
            f"{path} cannot be decoded by OpenCV, which training uses; save it as PNG or JPEG"
        )
    if unturned:  # as OpenCV turns all the other kinds
        raise LabError(f"{path} would be trained on unturned, its EXIF says turn; save it upright")
    return np.asarray(pixels[..., ::-1], dtype=np.uint8)
