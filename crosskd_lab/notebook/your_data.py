"""Notebook 10: a COCO-format folder of one's own, from a check to a distilled student."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..configs import RANDOM
from ..data.check import check, checked
from ..data.coco import find_split
from ..data.scene_sets import write_scenes
from ..engine.record import RECORD, read_record
from ..errors import LabError
from ..files import PROJECT
from ..runs.race import TEACHER
from .judge import Wrong, verdict
from .photographs import VARIABLE
from .students import effort, lesson_scenes

PHOTOGRAPHS = "bccd"  # blood cells under a microscope, three classes


def own_folder(scale: str, data: str | Path | None = None) -> Path:
    """The learner's COCO-format folder, or one that stands for it.

    Args:
        scale: "smoke", "cpu" or "gpu"; smoke keeps to a tiny set of drawn scenes.
        data: The learner's folder; by default micrographs, where ``CROSSKD_REAL_DATA`` has them,
            else a few hundred drawn scenes.

    Raises:
        LabError: for an unknown scale, or a folder that is not there.
    """
    effort(scale)
    if data is not None:
        if not Path(data).is_dir():
            raise LabError(f"data = {str(data)!r} is no folder: give that of a COCO-format set")
        return Path(data)
    if scale == "smoke":
        return lesson_scenes(scale)
    if (root := os.environ.get(VARIABLE)) and (Path(root) / PHOTOGRAPHS).is_dir():
        return Path(root) / PHOTOGRAPHS
    return write_scenes(PROJECT / "data" / "cache" / "own_scenes", 160, 400, 60)


def own_place(scale: str, folder: Path, out: str | Path | None = None) -> Path:
    """Where the runs of a folder go: ``runs/your_data/<folder>-<scale>`` by default."""
    return Path(out) if out else PROJECT / "runs" / "your_data" / f"{folder.resolve().name}-{scale}"


def teacher_settings(scale: str) -> dict[str, int]:
    """How a teacher is trained at a scale: five times a student's steps, measured at the end.

    At scale smoke only once: it shows that it runs, and teaches nothing either way.
    """
    wanted = effort(scale)
    steps = wanted.steps if scale == "smoke" else 5 * wanted.steps
    schedule = {"steps": steps, "batch": wanted.batch, "warmup": steps // 4}
    schedule["validate_every"] = steps
    return {f"schedule.{name}": value for name, value in schedule.items()}


def as_teacher(scale: str, run: Path) -> str:
    """What to name as a teacher: the run; at scale smoke, an untrained detector in its stead.

    A teacher that scores near nothing is refused wherever one is loaded, and after a handful of
    steps none does better.
    """
    if scale != "smoke":
        return str(run)
    print("scale smoke: so few steps make no teacher; an UNTRAINED one teaches the students below")
    return f"{RANDOM}:{TEACHER}"


def is_done(run: str | Path) -> bool:
    """Whether a run's folder holds a run that came to its end."""
    return is_begun(run) and read_record(run)["status"] == "done"


def is_begun(run: str | Path) -> bool:
    """Whether a run's folder holds a run, which can then be resumed but not begun again."""
    return (Path(run) / RECORD).is_file()


def complaints(folder: str | Path) -> pd.DataFrame:
    """What the check says of the folder's faults-to-be: one broken copy of two images a row.

    Nothing in the folder itself is touched.

    Args:
        folder: A COCO-format set with a split "train".

    Returns:
        ``fault``, what was broken, and ``line``, the error that names it; the copy's path is
        written as FOLDER.

    Raises:
        LabError: for a folder without a sound split "train".
    """
    rows = []
    for fault, spoil in FAULTS.items():
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary) / "set"
            document = _small_copy(folder, copy)
            spoil(copy, document)
            try:
                line = check(copy, "train").summary()
            except LabError as error:
                line = str(error)
            rows.append((fault, line.replace(str(copy), "FOLDER")))
    return pd.DataFrame(rows, columns=["fault", "line"])


@verdict
def check_boxes(to_coco: Callable[..., Sequence[float]]) -> str:
    """Whether ``to_coco(x, y, w, h, width, height)`` turns a relative box into COCO's.

    Args:
        to_coco: Takes centre and size as shares of the image, 0 to 1, and the image's size in
            pixels; returns left, top, width, height in pixels.
    """
    got = [float(value) for value in to_coco(0.5, 0.5, 0.2, 0.4, 200, 100)]
    hints = {
        (100, 50, 40, 40): "(100, 50) is the centre; COCO begins at the left upper corner",
        (80, 30, 120, 70): "these are two corners; COCO's last two numbers are width and height",
        (0.4, 0.3, 0.2, 0.4): "these are shares of the image; COCO counts pixels",
    }
    for wrong, hint in hints.items():
        if _near(got, wrong):
            raise Wrong(hint)
    cases = [((0.5, 0.5, 0.2, 0.4, 200, 100), (80, 30, 40, 40))]
    cases.append(((0.1, 0.75, 0.2, 0.5, 640, 480), (0, 240, 128, 240)))
    for given, right in cases:
        got = [float(value) for value in to_coco(*given)]
        if not _near(got, right):
            raise Wrong(f"{given} gives {[round(v, 3) for v in got]}, not {list(right)}")
    return "left, top, width and height, in pixels"


def _near(got: Sequence[float], right: Sequence[float]) -> bool:
    pairs = list(zip(got, right, strict=False))
    return len(got) == len(right) and all(abs(a - b) < 1e-6 for a, b in pairs)


def _small_copy(folder: str | Path, copy: Path) -> dict[str, Any]:
    """Two images that have boxes, with them, as a set of its own; its document."""
    split = find_split(folder, "train")
    _, document = checked(split, skip_bad=True, read_images=False)
    boxed = {box["image_id"] for box in document["annotations"]}
    images = [image for image in document["images"] if image["id"] in boxed][:2]
    ids = {image["id"] for image in images}
    boxes = [box for box in document["annotations"] if box["image_id"] in ids]
    (copy / "train").mkdir(parents=True)
    for image in images:  # by a bare name: what a copy breaks is nothing of the set's own
        source = split.images / image["file_name"]
        image["file_name"] = f"{image['id']}_{source.name}"
        shutil.copyfile(source, copy / "train" / image["file_name"])
    document = {
        "images": images,
        "annotations": boxes,
        "categories": document["categories"],
    }
    _write(copy, document)
    return document


def _write(copy: Path, document: dict[str, Any]) -> None:
    (copy / "annotations").mkdir(exist_ok=True)
    (copy / "annotations" / "train.json").write_text(json.dumps(document))


def _no_image(copy: Path, document: dict[str, Any]) -> None:
    (copy / "train" / document["images"][0]["file_name"]).unlink()


def _half_image(copy: Path, document: dict[str, Any]) -> None:
    path = copy / "train" / document["images"][0]["file_name"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _corner_box(copy: Path, document: dict[str, Any]) -> None:
    image = document["images"][0]
    box = next(b for b in document["annotations"] if b["image_id"] == image["id"])
    width, height = image["width"], image["height"]
    box["bbox"] = [width / 2, height / 2, width - 1, height - 1]
    _write(copy, document)


def _no_such_class(copy: Path, document: dict[str, Any]) -> None:
    document["annotations"][0]["category_id"] = 10_000
    _write(copy, document)


def _no_split(copy: Path, document: dict[str, Any]) -> None:
    (copy / "annotations" / "train.json").rename(copy / "annotations" / "labels.json")


def _no_json(copy: Path, document: dict[str, Any]) -> None:
    path = copy / "annotations" / "train.json"
    path.write_text(path.read_text()[:200])


FAULTS: dict[str, Callable[[Path, dict[str, Any]], None]] = {
    "the file of annotations has another name": _no_split,
    "its download was cut": _no_json,
    "an image is missing": _no_image,
    "half of an image is there": _half_image,
    "a box is given by two corners": _corner_box,
    "a box of a class that is not listed": _no_such_class,
}
"""What :func:`complaints` breaks, and how."""
