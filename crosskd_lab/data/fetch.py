"""Getting what the lab does not ship: COCO 2017, and the public teachers of MMDetection's zoo."""

import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..configs import PUBLIC, TEACHERS, ZOO, local_file
from ..errors import LabError
from ..files import sole_writer, write_whole
from ..stack.download import PATIENCE, check_sum, download, require_room


def extract(archive: str | Path, root: str | Path, folder: str, gigabytes: float) -> Path:
    """Unpack the one folder ``folder`` that a zip file holds to ``root``/``folder``.

    The folder appears when it is whole: every member's CRC-32 has been checked by then. Whatever
    else the archive holds is dropped. LabError for a folder that exists, no room, or an archive
    that is damaged, another one, or unpacks to more than so many ``gigabytes``.
    """
    archive, root = Path(archive), Path(root)
    target, draft = root / folder, root / f".{folder}.part"
    if target.exists():
        raise LabError(f"{target} exists: move it away, or unpack elsewhere")
    root.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(draft, ignore_errors=True)  # of a run that was killed
    try:
        with zipfile.ZipFile(archive) as packed:
            size = sum(member.file_size for member in packed.infolist())
            if size > 1e9 * gigabytes:
                raise LabError(f"{archive} unpacks to {size / 1e9:.3g} GB: it is another archive")
            require_room(root, size, f"what {archive} holds")
            packed.extractall(draft)  # never writes outside, and makes no links
        if not (draft / folder).is_dir():
            raise LabError(f"{archive} holds no folder {folder}: it is another archive")
        os.replace(draft / folder, target)
    except LabError:
        raise
    except OSError as error:
        raise LabError(
            f"{archive} cannot be unpacked to {root} ({error.strerror or error}): free some space, "
            "or choose another folder"
        ) from error
    except Exception as error:  # a flipped byte makes the unpacker raise whatever it stumbles on
        raise LabError(f"{archive} is damaged ({error}): remove it and fetch it again") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


MIRROR = "http://images.cocodataset.org"


@dataclass(frozen=True)
class Part:
    """One zip file of COCO 2017: its path below the mirror, the folder that it unpacks to, which
    stays well below so many ``gigabytes``, and how many ``images`` that has.
    """

    path: str
    folder: str
    gigabytes: float
    images: int = 0


IMAGES = {
    "train": Part("zips/train2017.zip", "train2017", 30, 118287),
    "val": Part("zips/val2017.zip", "val2017", 2, 5000),
}
ANNOTATIONS = Part("annotations/annotations_trainval2017.zip", "annotations", 2)


def get_coco(
    root: str | Path,
    splits: Sequence[str] = ("train", "val"),
    source: str | Path | None = None,
    mirror: str = MIRROR,
) -> Path:
    """COCO 2017 in ``root``: ``annotations/``, ``train2017/``, ``val2017/``; what is there is kept.

    Where a ``source`` folder has the zip files nothing is fetched; a ``mirror`` has the same paths
    as the publisher's. LabError for an incomplete folder, and as ``download`` and ``extract``.
    """
    root = Path(root)
    if unknown := set(splits) - set(IMAGES):
        raise LabError(f"COCO has no split {sorted(unknown)[0]!r} here: choose train or val")
    with sole_writer(root, "coco", PATIENCE):
        parts = [ANNOTATIONS, *(IMAGES[split] for split in splits)]
        missing = [part for part in parts if not _complete(root, part, splits)]
        at_hand = root if source is None else Path(source)
        zips = {part: at_hand / Path(part.path).name for part in missing}
        lacks = [file.name for file in zips.values() if not file.is_file()]
        if source is not None and lacks:
            raise LabError(
                f"{source} lacks {', '.join(lacks)}: put them there, or leave out --from"
            )
        for part, archive in zips.items():
            if source is None:
                download(f"{mirror.rstrip('/')}/{part.path}", archive)
            extract(archive, root, part.folder, part.gigabytes)
            if not _complete(root, part, splits):
                raise LabError(f"{archive} is another archive: it lacks files of {part.folder}")
            if source is None:
                archive.unlink()
    return root


def _complete(root: Path, part: Part, splits: Sequence[str]) -> bool:
    """Whether the folder is there in whole; LabError where it is there in part."""
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


def get_teacher(
    name: str, folder: str | Path = TEACHERS, source: str | Path | None = None, mirror: str = ZOO
) -> Path:
    """The file of a teacher of ``PUBLIC``, fetched to ``folder`` or copied from a ``source`` folder
    unless it is there, checked either way; a ``mirror`` has the same paths as the zoo's
    ``mmdetection/v2.0``.

    Nothing of the file is executed or even unpickled here; whoever loads it later reads weights
    only (``crosskd_lab.stack.checkpoints``). LabError for another checksum, and as ``download``.
    """
    target = local_file(name, folder)
    sha256 = target.stem[-8:]
    if source is None or target.is_file():
        path = PUBLIC[name].removeprefix(ZOO)
        return download(mirror.rstrip("/") + path, target, sha256)
    given = Path(source) / target.name
    if not given.is_file():
        raise LabError(f"{source} has no {target.name}: put it there, or leave out --from")
    check_sum(given, sha256)
    write_whole(target, given.read_bytes())
    return target
