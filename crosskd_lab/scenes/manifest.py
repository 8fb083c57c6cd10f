"""What a folder of scenes says about itself: the manifest, the listings and their checksums."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crosskd_lab.errors import LabError
from crosskd_lab.files import WRITER, write_whole

OURS = "crosskd-lab scenes"  # the generator named in a manifest begins with this
KEYS = ("file", "sha256", "boxes", "labels", "areas")

Line = dict[str, Any]
Manifest = dict[str, Any]


def verify_scenes(out: str | Path) -> list[str]:
    """What is missing or changed in a set of `write_scenes`, one line each; empty if it is whole.

    Raises:
        LabError: `out` has no manifest of ours.
    """
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


def is_whole(out: Path, parameters: dict[str, Any]) -> bool:
    """Whether a folder holds all of the scenes of these parameters, unchanged."""
    manifest = _read_manifest(out)
    return manifest is not None and manifest["parameters"] == parameters and not verify_scenes(out)


def data_checksum(root: str | Path) -> str:
    """A short stable name for the data of a COCO-format folder, for the record of a run.

    It is the hash of the annotation files, `root/annotations/*.json`, by name and content. Images
    are not read.

    Raises:
        LabError: there are none, or one may not be read.
    """
    try:
        files = sorted(f for f in Path(root).glob("annotations/*.json") if f.is_file())
        listing = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
    except OSError as error:
        raise LabError(f"{error.filename} cannot be read ({error.strerror})") from error
    if not files:
        raise LabError(f"{root} has no annotations/*.json; give the folder of a COCO-format set")
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


def begin(out: Path, parameters: dict[str, Any]) -> Manifest:
    """Take possession of a folder: its manifest, without checksums until the set is whole.

    Raises:
        LabError: the folder holds anything but scenes of the same parameters.
    """
    held = _read_manifest(out)
    if held is None:
        _check_free(out)
    elif held["parameters"] != parameters:
        was = ", ".join(f"{key} {value}" for key, value in held["parameters"].items())
        raise LabError(f"{out} holds other scenes ({was}); give another folder or delete this one")
    else:
        _drop_changed_listings(out, held)
    out.mkdir(parents=True, exist_ok=True)
    for draft in out.rglob(".*.part"):  # left by a kill
        draft.unlink()
    manifest = {"parameters": parameters}
    write_manifest(out, manifest)
    return manifest


def write_manifest(out: Path, manifest: Manifest) -> None:
    """Write `out`/manifest.json."""
    write_whole(out / "manifest.json", json.dumps(manifest, indent=2) + "\n")


def write_listing(listing: Path, lines: Iterable[Line]) -> None:
    """Write the lines of a split's images, one JSON object a line."""
    write_whole(listing, "".join(map(listing_line, lines)))


def listing_line(line: Line) -> str:
    """One line as text, with its line end."""
    return json.dumps(line, separators=(",", ":")) + "\n"


def read_listing(listing: Path) -> list[Line]:
    """The lines of a listing up to the first that a kill cut short; none if there is no file."""
    lines: list[Line] = []
    try:
        for text in listing.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            lines.append({key: line[key] for key in KEYS})
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return lines


def sha256(file: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def holds(file: Path, checksum: str) -> bool:
    """Whether a file is there and has this sha256."""
    return file.is_file() and sha256(file) == checksum


def _read_manifest(out: Path) -> Manifest | None:
    try:
        manifest = json.loads((out / "manifest.json").read_bytes())
        ours = manifest["parameters"]["generator"].startswith(OURS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
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


def _drop_changed_listings(out: Path, manifest: Manifest) -> None:
    """A listing that is not the one written can vouch for no image."""
    for name, checksum in manifest.get("sha256", {}).items():
        if name.endswith(".jsonl") and not holds(out / name, checksum):
            (out / name).unlink(missing_ok=True)
