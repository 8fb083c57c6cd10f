"""Scenes as a COCO-format detection set.

Beside ``annotations`` and the images stands OUT/manifest.json: the parameters of the scenes and,
once the set is whole, the sha256 of every other file.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from ..errors import LabError
from ..files import WRITER, holder, read_json, sha256, sole_writer, write_whole
from .scenes import CLASSES, GENERATOR_VERSION, check_size, draw_scene, generator

Seen = dict[str, Any]  # of an image: its file, and what can be seen in it
OURS = "crosskd-lab scenes"  # the generator named in a manifest begins with this
PATIENCE = 4 * 3600.0  # seconds; a large set takes about one


def data_checksum(root: str | Path, named: Sequence[Path] = ()) -> str:
    """A short stable name for the data of a COCO-format folder, for the record of a run.

    It is the hash of the annotation files, `root/annotations/*.json` or else those ``named``, by
    name and content; images are not read. LabError where there are none, or one may not be read.
    """
    try:
        files = sorted(f for f in Path(root).glob("annotations/*.json") if f.is_file())
        files = files or [file for file in named if file.is_file()]
        listing = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
    except OSError as error:
        raise LabError(f"{error.filename} cannot be read ({error.strerror})") from error
    if not files:
        raise LabError(f"{root} has no annotations/*.json; give the folder of a COCO-format set")
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


def write_scenes(
    out: str | Path,
    size: int = 160,
    train: int = 2000,
    val: int = 500,
    test: int = 0,
    seed: int = 0,
) -> Path:
    """Write a set of synthetic scenes, or anew one that was stopped or damaged; ``out``.

    Where another process is at it, wait for that one's end. ``size`` is the side of the square
    images in pixels, ``train``, ``val`` and ``test`` numbers of images. LabError where ``out``
    holds anything else or cannot be written.
    """
    out = Path(out)
    splits = {"train": train, "val": val, "test": test}
    _check(size, splits, seed)
    splits = {split: count for split, count in splits.items() if count}
    parameters = {"generator": f"{OURS} {GENERATOR_VERSION}", "size": size, "seed": seed, **splits}
    if _is_whole(out, parameters):
        return out
    if who := holder(out):
        print(f"waiting   for {who}, which makes {out}", file=sys.stderr)
    with sole_writer(out, patience=PATIENCE):
        if _is_whole(out, parameters):  # another process has made it meanwhile
            return out
        _refuse_other(out, parameters)
        for draft in out.rglob(".*.part"):  # left by a kill
            draft.unlink()
        _write_manifest(out, {"parameters": parameters})
        sums: dict[str, str] = {}
        for split, count in splits.items():
            sums |= _write_split(out, split, count, size, seed)
        _write_manifest(out, {"parameters": parameters, "sha256": sums})
    return out


def _check(size: int, splits: dict[str, int], seed: int) -> None:
    check_size(size)
    generator(seed, "train", 0)
    for split, count in splits.items():
        if not 0 <= count <= 999_999:
            raise LabError(f"{count} {split} images are out of range; give 0 to 999999")
    if not any(splits.values()):
        raise LabError("no images asked for; give the train or val split a number above 0")


def _is_whole(out: Path, parameters: dict[str, Any]) -> bool:
    """Whether a folder has all scenes of these parameters, and no file of them has changed."""
    held = _read_manifest(out)
    if held is None or held["parameters"] != parameters or "sha256" not in held:
        return False
    sums = held["sha256"].items()
    return all(os.path.isfile(out / name) and sha256(out / name) == one for name, one in sums)


def _refuse_other(out: Path, parameters: dict[str, Any]) -> None:
    """Raise LabError where a folder holds anything but scenes of these parameters."""
    held = _read_manifest(out)
    if held and held["parameters"] != parameters:
        was = ", ".join(f"{key} {value}" for key, value in held["parameters"].items())
        raise LabError(f"{out} holds other scenes ({was}); give another folder or delete this one")
    found = [entry.name for entry in out.iterdir() if entry.name != f".{WRITER}.lock"]
    if found and not held:
        raise LabError(f"{out} holds {min(found)}, no scenes of ours; give a new or empty folder")


def _read_manifest(out: Path) -> dict[str, Any] | None:
    """The manifest of a folder of scenes; None for any other folder."""
    try:
        manifest = read_json(out / "manifest.json", "")
        ours = manifest["parameters"]["generator"].startswith(OURS)
    except (LabError, KeyError, TypeError, AttributeError):
        return None
    return manifest if ours else None


def _write_manifest(out: Path, manifest: dict[str, Any]) -> None:
    write_whole(out / "manifest.json", json.dumps(manifest, indent=2) + "\n")


def _write_split(out: Path, split: str, count: int, size: int, seed: int) -> dict[str, str]:
    """Draw the images and write the annotations of a split; the sha256 of each of its files."""
    bar = tqdm(range(count), split, unit="img", disable=None)
    seen = [_write_image(out, split, size, seed, index) for index in bar]
    listing = f"annotations/{split}.json"
    write_whole(out / listing, json.dumps(_coco(seen, size), separators=(",", ":")) + "\n")
    sums = {f"{split}/{image['name']}": image["sha256"] for image in seen}
    return {**sums, listing: sha256(out / listing)}


def _write_image(out: Path, split: str, size: int, seed: int, index: int) -> Seen:
    """Draw and write one image; what can be seen in it, its file's name and sha256."""
    scene = draw_scene(generator(seed, split, index), size)
    name, png = f"{index:06d}.png", BytesIO()
    Image.fromarray(scene.image).save(png, "PNG", compress_level=1)
    write_whole(out / split / name, png.getvalue())
    return {
        "name": name,
        "sha256": hashlib.sha256(png.getvalue()).hexdigest(),
        "boxes": scene.boxes.tolist(),
        "labels": scene.labels.tolist(),
        "areas": scene.areas.tolist(),
    }


def _coco(seen: list[Seen], size: int) -> dict[str, Any]:
    """The COCO document of a split; ids count from 1, boxes are xywh, areas visible pixels."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(seen, 1):
        images.append({"id": image_id, "file_name": image["name"], "width": size, "height": size})
        for box, label, area in zip(image["boxes"], image["labels"], image["areas"], strict=True):
            annotation = {"id": len(annotations) + 1, "image_id": image_id}
            annotation |= {"category_id": label + 1, "bbox": box, "area": area, "iscrowd": 0}
            annotations.append(annotation)
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}
