"""Writing the scenes as a COCO-format detection set that can be stopped, resumed and verified.

    OUT/manifest.json              the parameters and, once whole, the sha256 of the next two kinds
    OUT/{split}.jsonl              one line an image: file, sha256, boxes, labels, areas
    OUT/annotations/{split}.json   standard COCO
    OUT/{split}/000000.png

A run keeps the images whose sha256 their line confirms, draws the others and then writes the rest
anew, so a fresh start, a resumption after a kill and a repair are one path. The bytes of every file
follow from the parameters alone.
"""

from __future__ import annotations

import hashlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from crosskd_lab.errors import LabError
from crosskd_lab.files import holder, sole_writer, write_whole
from crosskd_lab.provenance import machine
from crosskd_lab.scenes.draw import GENERATOR_VERSION, check_size, draw_scene, generator
from crosskd_lab.scenes.manifest import (
    OURS,
    Line,
    begin,
    holds,
    is_whole,
    listing_line,
    read_listing,
    sha256,
    write_listing,
    write_manifest,
)
from crosskd_lab.scenes.outlines import CLASSES
from crosskd_lab.scenes.png import encode_png
from crosskd_lab.scenes.workers import ordered_map

PATIENCE = 4 * 3600.0  # seconds; a large set takes about one


def write_scenes(
    out: str | Path,
    size: int = 160,
    train: int = 2000,
    val: int = 500,
    test: int = 0,
    seed: int = 0,
    processes: int | None = None,
) -> Path:
    """Write a set of synthetic scenes, or complete one that was stopped or damaged.

    Where another process is at it, wait for that one's end.

    Args:
        out: a new or empty folder, or one that this function began with the same parameters.
        size: side of the square images in pixels.
        train: number of images; so are `val` and `test`. A split of 0 images is not written.
        seed: 0 or more; other seeds give other scenes.
        processes: how many draw side by side, by default one a CPU core. It changes no byte.

    Returns:
        `out` as a path.

    Raises:
        LabError: `out` holds anything else or cannot be written, a parameter is out of range, a
            worker process died, or another process is at it for hours.
    """
    out = Path(out)
    splits = {"train": train, "val": val, "test": test}
    _check(size, splits, seed, processes)
    splits = {split: count for split, count in splits.items() if count}
    parameters = {"generator": f"{OURS} {GENERATOR_VERSION}", "size": size, "seed": seed, **splits}
    processes = processes or machine()["cores"] or 1
    if is_whole(out, parameters):
        return out
    if who := holder(out):
        print(f"waiting   for {who}, which makes {out}", file=sys.stderr)
    try:
        with sole_writer(out, patience=PATIENCE):
            _write(out, splits, parameters, processes)
    except OSError as error:
        where, why = error.filename or out, error.strerror
        remedy = "free the place or give another folder; the same command again goes on"
        raise LabError(f"{where} cannot be read or written ({why}); {remedy}") from error
    return out


def _write(out: Path, splits: dict[str, int], parameters: dict[str, Any], processes: int) -> None:
    manifest = begin(out, parameters)
    manifest["sha256"] = {}
    for split, count in splits.items():
        _write_split(out, split, count, parameters["size"], parameters["seed"], processes)
        for name in (f"annotations/{split}.json", f"{split}.jsonl"):
            manifest["sha256"][name] = sha256(out / name)
    write_manifest(out, manifest)


def _check(size: int, splits: dict[str, int], seed: int, processes: int | None) -> None:
    check_size(size)
    generator(seed, "train", 0)
    for split, count in splits.items():
        if not 0 <= count <= 999_999:
            raise LabError(f"{count} {split} images are out of range; give 0 to 999999")
    if not any(splits.values()):
        raise LabError("no images asked for; give the train or val split a number above 0")
    if processes is not None and processes < 1:
        raise LabError(f"{processes} processes are out of range; give 1 or more")


def _write_split(out: Path, split: str, count: int, size: int, seed: int, processes: int) -> None:
    folder, listing = out / split, out / f"{split}.jsonl"
    folder.mkdir(exist_ok=True)
    names = [_name(split, index) for index in range(count)]
    lines = {line["file"]: line for line in read_listing(listing)}
    lines = {n: lines[n] for n in names if n in lines and holds(out / n, lines[n]["sha256"])}
    missing = [index for index, name in enumerate(names) if name not in lines]
    write_listing(listing, lines.values())
    draw = partial(_write_image, out, split, size, seed)
    bar = tqdm(total=count, initial=len(lines), desc=split, unit="img", disable=None)
    with bar, listing.open("a", encoding="utf-8") as log:
        for line in ordered_map(draw, missing, processes):
            lines[line["file"]] = line
            log.write(listing_line(line))
            log.flush()
            bar.update()
    ordered = [lines[name] for name in names]
    write_listing(listing, ordered)
    write_whole(out / "annotations" / f"{split}.json", _coco(ordered, size))


def _name(split: str, index: int) -> str:
    return f"{split}/{index:06d}.png"


def _write_image(out: Path, split: str, size: int, seed: int, index: int) -> Line:
    """Draw and write one image; returns its line for the listing."""
    scene = draw_scene(generator(seed, split, index), size)
    png = encode_png(scene.image)
    write_whole(out / _name(split, index), png)
    return {
        "file": _name(split, index),
        "sha256": hashlib.sha256(png).hexdigest(),
        "boxes": scene.boxes.tolist(),
        "labels": scene.labels.tolist(),
        "areas": scene.areas.tolist(),
    }


def _coco(lines: list[Line], size: int) -> str:
    """The COCO document of a split; ids count from 1, boxes are xywh, areas visible pixels."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, line in enumerate(lines, 1):
        name = line["file"].partition("/")[2]
        images.append({"id": image_id, "file_name": name, "width": size, "height": size})
        for box, label, area in zip(line["boxes"], line["labels"], line["areas"], strict=True):
            annotation = {"id": len(annotations) + 1, "image_id": image_id}
            annotation |= {"category_id": label + 1, "bbox": box, "area": area, "iscrowd": 0}
            annotations.append(annotation)
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(CLASSES)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(document, separators=(",", ":")) + "\n"
