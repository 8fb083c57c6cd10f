"""COCO 2017: the training and validation photographs and their annotations, as the paper used them.

The publisher names no checksums that we could hold a file against. So a zip file is checked by the
length that the server states and by the CRC-32 of each of its members, and the unpacked set by the
number of its photographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosskd_lab.errors import LabError
from crosskd_lab.fetch.archive import extract
from crosskd_lab.fetch.download import download, require_room

MIRROR = "http://images.cocodataset.org"


@dataclass(frozen=True)
class Part:
    """One zip file of COCO 2017.

    Attributes:
        path: Below the mirror.
        folder: What it unpacks to.
        gigabytes: About its size, as the publisher says; photographs do not get smaller in a zip.
        images: How many photographs the folder has.
    """

    path: str
    folder: str
    gigabytes: float
    images: int = 0

    @property
    def limit(self) -> int:
        """Bytes that neither the zip file nor what it unpacks to comes near."""
        return int(1.5e9 * self.gigabytes) + 2**20


IMAGES = {
    "train": Part("zips/train2017.zip", "train2017", 19.5, 118287),
    "val": Part("zips/val2017.zip", "val2017", 1.0, 5000),
}
ANNOTATIONS = Part("annotations/annotations_trainval2017.zip", "annotations", 0.8)


def get_coco(
    root: str | Path,
    splits: Sequence[str] = ("train", "val"),
    source: str | Path | None = None,
    mirror: str = MIRROR,
) -> Path:
    """COCO 2017 in ``root``: ``annotations/``, ``train2017/``, ``val2017/``; what is there is kept.

    Args:
        root: The set's folder.
        splits: "train", "val" or both.
        source: A folder with the zip files; then nothing is fetched, and they stay.
        mirror: Address with the same paths as the publisher's.

    Raises:
        LabError: for an unknown split, an incomplete folder, and as ``download`` and ``extract``.
    """
    root = Path(root)
    if unknown := set(splits) - set(IMAGES):
        raise LabError(f"COCO has no split {sorted(unknown)[0]!r} here: choose train or val")
    parts = [ANNOTATIONS, *(IMAGES[split] for split in splits)]
    missing = [part for part in parts if not _complete(root, part, splits)]
    if source is not None:
        _require_files(Path(source), missing)
    root.mkdir(parents=True, exist_ok=True)
    # Beside a zip file that is fetched there is what comes out of it.
    needed = sum(part.gigabytes * (1 if source else 2) for part in missing)
    require_room(root, int(needed * 1e9), "COCO 2017")
    for part in missing:
        name = Path(part.path).name
        archive = Path(source) / name if source else root / name
        if source is None:
            download(f"{mirror.rstrip('/')}/{part.path}", archive, limit=part.limit)
        extract(archive, root, part.folder, part.limit)
        if not _complete(root, part, splits):
            raise LabError(f"{archive} is another archive: it lacks files of {part.folder}")
        if source is None:
            archive.unlink()
    return root


def _complete(root: Path, part: Part, splits: Sequence[str]) -> bool:
    """Whether the folder is there in whole.

    Raises:
        LabError: it is there in part.
    """
    folder = root / part.folder
    if not folder.exists():
        return False
    if part is ANNOTATIONS:
        wanted = [f"instances_{split}2017.json" for split in splits]
        lacks = [name for name in wanted if not (folder / name).is_file()]
        if lacks:
            raise LabError(f"{folder} lacks {', '.join(lacks)}: move it away, then run this again")
        return True
    found = sum(1 for _ in folder.glob("*.jpg"))
    if found != part.images:
        raise LabError(
            f"{folder} has {found} photographs of {part.images}: move it away, then run this again"
        )
    return True


def _require_files(source: Path, parts: Sequence[Part]) -> None:
    lacks = [name for p in parts if not (source / (name := Path(p.path).name)).is_file()]
    if lacks:
        raise LabError(f"{source} lacks {', '.join(lacks)}: put them there, or leave out --from")
