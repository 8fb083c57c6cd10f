"""Getting what the lab does not ship: COCO 2017, and the public teachers of MMDetection's zoo."""

import os
import re
import shutil
import stat
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..configs import PUBLIC, TEACHERS, ZOO, local_file
from ..errors import LabError
from ..files import sole_writer, unwritable
from ..stack.download import PATIENCE, check_sum, download, require_room

_BLOCK = 4096  # bytes; what the least file takes of a disk


def extract(archive: str | Path, root: str | Path, folder: str, limit: int = 0) -> Path:
    """Unpack the one folder ``folder`` that a zip file holds to ``root``/``folder``.

    All members are examined before the first byte is written. The folder appears when it is whole:
    every member's CRC-32 has been checked by then. At most ``limit`` bytes come out; by default
    twenty times the zip file's. LabError for a folder that exists, no room, or an archive that is
    damaged, too large, or has a member that would leave the folder or is no plain file.
    """
    archive, root = Path(archive), Path(root)
    target, draft = root / folder, root / f".{folder}.part"
    if target.exists():
        raise LabError(f"{target} exists: move it away, or unpack elsewhere")
    root.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(draft, ignore_errors=True)  # of a run that was killed
    try:
        with zipfile.ZipFile(archive) as packed:
            members = packed.infolist()
            for member in members:
                _refuse(archive, member, folder)
            limit = limit or max(20 * archive.stat().st_size, 2**20)
            size = sum(max(member.file_size, _BLOCK) for member in members)
            if size > limit:
                raise LabError(
                    f"{archive} unpacks to {size / 1e9:.3g} GB and {folder} has no more than "
                    f"{limit / 1e9:.3g} GB: it is another archive; nothing was unpacked"
                )
            require_room(root, size, f"what {archive} holds")
            packed.extractall(draft)
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


def _refuse(archive: Path, member: zipfile.ZipInfo, folder: str) -> None:
    """Raise LabError for a member that is not a plain file or folder inside ``folder``."""
    name = PurePosixPath(member.orig_filename.replace("\\", "/"))
    inside = not name.is_absolute() and ".." not in name.parts and name.parts[:1] == (folder,)
    # The type bits of a Unix mode; zip files from elsewhere leave them zero.
    kind = stat.S_IFMT(member.external_attr >> 16)
    if not inside or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise LabError(
            f"{archive} is not safe: {member.orig_filename!r} is no plain file inside {folder}/; "
            "nothing was unpacked: get the archive from its publisher"
        )


MIRROR = "http://images.cocodataset.org"


@dataclass(frozen=True)
class Part:
    """One zip file of COCO 2017: its path below the mirror, and the folder that it unpacks to.

    ``gigabytes`` is about its size, as the publisher says (photographs do not get smaller in a
    zip), ``images`` how many the folder has.
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

    Where a ``source`` folder has the zip files nothing is fetched; a ``mirror`` has the same paths
    as the publisher's. LabError for an incomplete folder, and as ``download`` and ``extract``.
    """
    root = Path(root)
    if unknown := set(splits) - set(IMAGES):
        raise LabError(f"COCO has no split {sorted(unknown)[0]!r} here: choose train or val")
    with sole_writer(root, "coco", PATIENCE):
        return _get_coco(root, splits, source, mirror)


def _get_coco(root: Path, splits: Sequence[str], source: str | Path | None, mirror: str) -> Path:
    parts = [ANNOTATIONS, *(IMAGES[split] for split in splits)]
    missing = [part for part in parts if not _complete(root, part, splits)]
    if source is not None:
        zips = [Path(source) / Path(part.path).name for part in missing]
        if lacks := [file.name for file in zips if not file.is_file()]:
            raise LabError(
                f"{source} lacks {', '.join(lacks)}: put them there, or leave out --from"
            )
    needed = 0.0
    for part in missing:
        needed += 1e9 * part.gigabytes
        if source is None:  # beside what comes out of it, the zip file, as far as it is not there
            name = Path(part.path).name
            come = [root / name, root / f".{name}.part"]
            size = sum(file.stat().st_size for file in come if file.is_file())
            needed += max(0.0, 1e9 * part.gigabytes - size)
    require_room(root, int(needed), "COCO 2017")
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
    sha256 = digits(target.name)
    if source is None or target.is_file():
        path = PUBLIC[name].removeprefix(ZOO)
        return download(mirror.rstrip("/") + path, target, sha256)
    given = Path(source) / target.name
    if not given.is_file():
        raise LabError(f"{source} has no {target.name}: put it there, or leave out --from")
    check_sum(given, sha256)
    draft = target.with_name(f".{target.name}.part")
    with sole_writer(target.parent, target.name, PATIENCE):
        try:
            shutil.copyfile(given, draft)
            os.replace(draft, target)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise unwritable(target, error) from error
    return target


def digits(name: str) -> str:
    """The eight digits of a SHA-256 that end a file name of the model zoo, ``x-dd12f847.pth``."""
    found = re.search(r"-([0-9a-f]{8})\.pth$", name)
    if not found:
        raise LabError(f"{name} names no checksum: give a file of MMDetection's model zoo")
    return found[1]
