"""Scenes as a COCO-format detection set that can be stopped, resumed and verified.

::

    OUT/manifest.json              the parameters and, once whole, the sha256 of the next two kinds
    OUT/{split}.jsonl              one line an image: file, sha256, boxes, labels, areas"""

import hashlib
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from ..errors import LabError
from ..files import (
    WRITER,
    holder,
    parse_json,
    read_file,
    read_json,
    sha256,
    sole_writer,
    usable_cores,
    write_whole,
)
from .scenes import CLASSES, GENERATOR_VERSION, check_size, draw_scene, encode_png, generator

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 16  # items handed over at a time; fewer than this are not worth a process


def ordered_map(
    work: Callable[[Item], Result], items: Sequence[Item], processes: int
) -> Iterator[Result]:
    """Yield `work(item)` in the order of the items, from fresh (spawned) processes if several."""
    processes = min(processes, len(items) // CHUNK)
    if processes < 2:
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_follow_parent)
    try:
        yield from pool.map(work, items, chunksize=CHUNK)
    except BrokenProcessPool as error:
        raise LabError(
            "a worker process was killed or could not start; run the same again to go on, with "
            "`processes` 1 if it repeats, and in a script under 'if __name__ == \"__main__\":'"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end as soon as the parent is gone, however it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end_with_it() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end_with_it, daemon=True).start()


OURS = "crosskd-lab scenes"  # the generator named in a manifest begins with this
KEYS = ("file", "sha256", "boxes", "labels", "areas")

Line = dict[str, Any]
Manifest = dict[str, Any]


def verify_scenes(out: str | Path) -> list[str]:
    """What is missing or changed in a set of `write_scenes`, one line each; empty if whole."""
    out = Path(out)
    manifest = _read_manifest(out)
    if manifest is None:
        raise LabError(f"{out} has no manifest.json of `data scenes`; make the scenes anew")
    if "sha256" not in manifest:
        return [f"{out}: unfinished; run `data scenes` again with the same parameters"]
    files = dict(manifest["sha256"])
    for listing in manifest["sha256"]:
        if listing.endswith(".jsonl"):
            files |= {line["file"]: line["sha256"] for line in read_listing(out / listing)}
    return [f"{out / n}: missing or changed" for n, sha in files.items() if not holds(out / n, sha)]


def data_checksum(root: str | Path) -> str:
    """A short stable name for the data of a COCO-format folder, for the record of a run.

    It is the hash of the annotation files, `root/annotations/*.json`, by name and content; images
    are not read. LabError where there are none, or one may not be read.
    """
    try:
        files = sorted(f for f in Path(root).glob("annotations/*.json") if f.is_file())
        listing = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
    except OSError as error:
        raise LabError(f"{error.filename} cannot be read ({error.strerror})") from error
    if not files:
        raise LabError(f"{root} has no annotations/*.json; give the folder of a COCO-format set")
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


def _begin(out: Path, parameters: dict[str, Any]) -> None:
    """Take possession of a folder: its manifest has no checksums until the set is whole.

    LabError where the folder holds anything but scenes of the same parameters.
    """
    held = _read_manifest(out)
    if held is None:
        _check_free(out)
        held = {}
    elif held["parameters"] != parameters:
        was = ", ".join(f"{key} {value}" for key, value in held["parameters"].items())
        raise LabError(f"{out} holds other scenes ({was}); give another folder or delete this one")
    for name, checksum in held.get("sha256", {}).items():
        if name.endswith(".jsonl") and not holds(out / name, checksum):
            (out / name).unlink(missing_ok=True)  # a changed listing can vouch for no image
    for draft in out.rglob(".*.part"):  # left by a kill
        draft.unlink()
    _write_manifest(out, {"parameters": parameters})


def _write_manifest(out: Path, manifest: Manifest) -> None:
    write_whole(out / "manifest.json", json.dumps(manifest, indent=2) + "\n")


def _line(content: Any) -> str:
    return json.dumps(content, separators=(",", ":")) + "\n"


def read_listing(listing: Path) -> list[Line]:
    """The lines of a listing up to the first that a kill cut short; none if there is no file."""
    lines: list[Line] = []
    try:
        for text in read_file(listing, "").decode("utf-8").splitlines():
            line = parse_json(text)
            lines.append({key: line[key] for key in KEYS})
    except (LabError, ValueError, KeyError, TypeError):
        pass
    return lines


def holds(file: Path, checksum: str) -> bool:
    """Whether a file is there and has this sha256."""
    return file.is_file() and sha256(file) == checksum


def _read_manifest(out: Path) -> Manifest | None:
    try:
        manifest = read_json(out / "manifest.json", "")
        ours = manifest["parameters"]["generator"].startswith(OURS)
    except (LabError, KeyError, TypeError, AttributeError):
        return None
    return manifest if ours else None


def _check_free(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise LabError(f"{out} is a file; give the name of a new or empty folder")
    found = sorted(entry.name for entry in out.iterdir()) if out.exists() else []
    ours = (".manifest.json.", f".{WRITER}.lock")  # the first is left by a kill
    found = [name for name in found if not name.startswith(ours)]
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise LabError(
            f"{out} holds {found[0]}{more}, no scenes of ours; give a new or empty folder"
        )


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
    """Write a set of synthetic scenes, or complete one that was stopped or damaged; ``out``.

    Where another process is at it, wait for that one's end. ``size`` is the side of the square
    images in pixels, ``train``, ``val`` and ``test`` numbers of images; ``processes`` that draw
    side by side, by default one a CPU core, change no byte. LabError where ``out`` holds anything
    else or cannot be written, or a worker process died.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # would wait for itself
        raise LabError("this process was begun to make scenes, not to run the script anew")
    out = Path(out)
    splits = {"train": train, "val": val, "test": test}
    _check(size, splits, seed, processes)
    splits = {split: count for split, count in splits.items() if count}
    parameters = {"generator": f"{OURS} {GENERATOR_VERSION}", "size": size, "seed": seed, **splits}
    processes = processes or usable_cores()
    held = _read_manifest(out)
    if held and held["parameters"] == parameters and not verify_scenes(out):
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
    _begin(out, parameters)
    sums: dict[str, str] = {}
    for split, count in splits.items():
        _write_split(out, split, count, parameters["size"], parameters["seed"], processes)
        sums |= {n: sha256(out / n) for n in (f"annotations/{split}.json", f"{split}.jsonl")}
    _write_manifest(out, {"parameters": parameters, "sha256": sums})


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
    write_whole(listing, "".join(map(_line, lines.values())))
    draw = partial(_write_image, out, split, size, seed)
    bar = tqdm(total=count, initial=len(lines), desc=split, unit="img", disable=None)
    with bar, listing.open("a", encoding="utf-8") as log:
        for line in ordered_map(draw, missing, processes):
            lines[line["file"]] = line
            log.write(_line(line))
            log.flush()
            bar.update()
    ordered = [lines[name] for name in names]
    write_whole(listing, "".join(map(_line, ordered)))
    write_whole(out / "annotations" / f"{split}.json", _line(_coco(ordered, size)))


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


def _coco(lines: list[Line], size: int) -> dict[str, Any]:
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
    return {"images": images, "annotations": annotations, "categories": categories}
