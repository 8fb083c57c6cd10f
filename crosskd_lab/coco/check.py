"""Checking a COCO-format split record by record, and the split without its bad records.

Some things are put right rather than counted as wrong, because detectors or the COCO evaluation
trip over them while nobody would want to lose the box: a box that leaves its image by less than a
pixel is clipped, an "area" that is none becomes that of the box, "iscrowd" becomes 0 or 1 and takes
over from "ignore" (which mmdet drops in silence and the evaluation does not know), annotations are
numbered anew where an id is missing, no positive number, too large or not unique (the evaluation
never finds number 0), images where an id is too large, and categories are put in the order of their
ids (mmdet numbers classes by their order in the file). Images without annotations and crowd
annotations are legal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crosskd_lab.coco.faults import (
    Problem,
    box_problems,
    clipped,
    image_problems,
    images_by_id,
    is_finite,
    is_marked,
)
from crosskd_lab.coco.sets import (
    Document,
    Record,
    Split,
    find_split,
    is_id,
    read_document,
    reads_alike,
    sorted_categories,
    write_document,
)
from crosskd_lab.errors import LabError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        split: what was checked.
        problems: the bad records.
        images, boxes: how many the annotation file has.
        images_kept, boxes_kept: how many are left without the bad records; the boxes of an image
            that is left out are left out with it.
        images_seen, boxes_seen: how many of those kept a training learns from: images that have an
            annotation, and boxes that mark no crowd.
        repaired: how many records were put right.
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

    def frame(self) -> pd.DataFrame:
        """The problems as a data frame with columns file, record, kind and detail."""
        import pandas as pd

        rows = [(str(self.split.annotations), p.record, p.kind, p.detail) for p in self.problems]
        return pd.DataFrame(rows, columns=["file", "record", "kind", "detail"])

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


def check(root: str | Path, split: str, skip_bad: bool = False, read_images: bool = True) -> Report:
    """Check every record of a split.

    Args:
        root: folder of the set, in one of the layouts of `crosskd_lab.coco.sets`.
        split: "train", "val" or "test".
        skip_bad: report bad records instead of raising.
        read_images: also decode every image file; without, it has to be there and not empty.

    Raises:
        LabError: names the first bad record and how many more there are, unless `skip_bad`;
            there is no such split, no image is good, or the file as a whole is wrong.
    """
    return checked(find_split(root, split), skip_bad, read_images)[0]


def clean(
    root: str | Path, split: str, out: str | Path, skip_bad: bool = True, read_images: bool = True
) -> tuple[Split, Report]:
    """The split fit for use: the set's own, or with a better annotation file `out`/{split}.json.

    Args:
        root: folder of the set; nothing is written there.
        split: "train", "val" or "test".
        out: folder for the annotation file, which is written only if it differs from the set's.
        skip_bad: leave bad records out instead of raising.
        read_images: as in `check`.

    Raises:
        LabError: as `check`; `out` is inside the set.
    """
    found = find_split(root, split)
    report, document = checked(found, skip_bad, read_images)
    if not report.problems and not report.repaired and reads_alike(found.annotations):
        return found, report
    return write_document(found, out, split, document), report


def checked(split: Split, skip_bad: bool, read_images: bool) -> tuple[Report, Document]:
    """`check` for a split already found; returns the report and the document put right."""
    document = read_document(split.annotations)
    problems = (*image_problems(document, split, read_images), *box_problems(document))
    if problems and not skip_bad:
        raise LabError(_complaint(split, problems))
    good = _without(document, problems)
    if not good["images"]:
        raise LabError(f"{split.annotations}: no image can be used; {problems[0].detail}")
    repaired = _put_right(good)
    images, boxes = len(document["images"]), len(document["annotations"])
    kept = len(good["images"]), len(good["annotations"])
    seen = (
        len({box["image_id"] for box in good["annotations"]}),
        sum(not box["iscrowd"] for box in good["annotations"]),
    )
    return Report(split, problems, images, boxes, *kept, *seen, repaired), good


def _count(number: int, thing: str, more: str = "s") -> str:
    return f"{number} {thing}{more * (number != 1)}"


def _complaint(split: Split, problems: tuple[Problem, ...]) -> str:
    first = problems[0]
    more = f"; {_count(len(problems) - 1, 'more bad record')}" if len(problems) > 1 else ""
    remedy = "correct them, or give --skip-bad to leave them out"
    return f"{split.annotations}: {first.record}: {first.detail}{more}; {remedy}"


def _without(document: Document, problems: tuple[Problem, ...]) -> Document:
    """A copy of the document without its bad records and without the boxes of its bad images."""
    bad = {(problem.part, problem.index) for problem in problems}
    good = {
        part: [r for index, r in enumerate(document[part]) if (part, index) not in bad]
        for part in ("images", "annotations")
    }
    ids = {image["id"] for image in good["images"]}
    good["annotations"] = [box for box in good["annotations"] if box["image_id"] in ids]
    return {**document, **good}


def _put_right(document: Document) -> int:
    """Replace what can be put right in a document; returns how many records changed."""
    images = images_by_id(document)
    ids = {i: i for i in images}
    if not all(map(is_id, images)):
        ids = {i: number for number, i in enumerate(images, 1)}
    right = {
        "images": [_right_image(image, ids) for image in document["images"]],
        "annotations": _numbered(
            [_right_box(box, images[box["image_id"]], ids) for box in document["annotations"]]
        ),
        "categories": sorted_categories(document),
    }
    changed = [a != b for part in right for a, b in zip(document[part], right[part], strict=True)]
    document.update(right)
    return sum(changed)


def _right_image(image: Record, ids: dict[int, int]) -> Record:
    name = Path(image["file_name"]).as_posix()  # mmengine takes a "://" for a web address
    return {**image, "id": ids[image["id"]], "file_name": name}


def _right_box(box: Record, image: Record, ids: dict[int, int]) -> Record:
    bbox = clipped(box["bbox"], image)
    area = box.get("area")
    if not (is_finite(area) and 0 < area <= image["width"] * image["height"]):
        area = bbox[2] * bbox[3]
    crowd = int(bool(is_marked(box, "iscrowd") or is_marked(box, "ignore")))
    right = {**box, "image_id": ids[box["image_id"]], "bbox": bbox, "area": area, "iscrowd": crowd}
    if box.get("ignore"):
        del right["ignore"]
    return right


def _numbered(boxes: list[Record]) -> list[Record]:
    ids = [box.get("id") for box in boxes]
    if all(is_id(i) and i > 0 for i in ids) and len(set(ids)) == len(ids):
        return boxes
    return [{**box, "id": number} for number, box in enumerate(boxes, 1)]
