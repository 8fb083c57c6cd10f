"""A tiny sound COCO-format set to break in one place at a time."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

IMAGES = [
    {"id": 1, "file_name": "a.jpg", "width": 40, "height": 30},
    {"id": 2, "file_name": "b.png", "width": 20, "height": 50},
    {"id": 9, "file_name": "none.jpg", "width": 16, "height": 16},  # without annotations
]
BOXES = [
    {"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 40, 30], "area": 1200, "iscrowd": 0},
    {"id": 2, "image_id": 1, "category_id": 5, "bbox": [5, 6, 7, 8], "area": 50, "iscrowd": 0},
    {"id": 5, "image_id": 2, "category_id": 5, "bbox": [1.5, 2, 3, 4], "area": 12, "iscrowd": 1},
]
CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}]


@dataclass
class TinySet:
    """A set in `root`, split "val"; change `document`, then `save()`."""

    root: Path
    document: dict[str, Any]

    def save(self) -> None:
        self.annotations.write_text(json.dumps(self.document))

    @property
    def annotations(self) -> Path:
        return self.root / "annotations" / "val.json"

    def image(self, name: str) -> Path:
        return self.root / "images" / name

    def tree(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


def make_set(root: Path) -> TinySet:
    """The tiny set, written to a new folder."""
    made = TinySet(
        root, copy.deepcopy({"images": IMAGES, "annotations": BOXES, "categories": CATEGORIES})
    )
    for folder in ("annotations", "images"):
        (made.root / folder).mkdir(parents=True)
    for image in IMAGES:
        size = (image["width"], image["height"])
        Image.effect_noise(size, 60).convert("RGB").save(made.image(image["file_name"]))
    made.save()
    return made


@pytest.fixture
def tiny(tmp_path: Path) -> TinySet:
    return make_set(tmp_path / "set")


@pytest.fixture
def make_tiny() -> Callable[[Path], TinySet]:
    return make_set
