"""Unpacking a zip file from elsewhere: nothing outside its folder, nothing but files."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from crosskd_lab.errors import LabError
from crosskd_lab.fetch.download import require_room

_BLOCK = 4096  # bytes; what the least file takes of a disk


def extract(archive: str | Path, root: str | Path, folder: str, limit: int = 0) -> Path:
    """Unpack the one folder ``folder`` that a zip file holds to ``root``/``folder``.

    All members are examined before the first byte is written. The folder appears when it is whole:
    every member's CRC-32 has been checked by then.

    Args:
        archive: The zip file.
        root: Where the folder comes to be.
        folder: Its name.
        limit: Most bytes that may come out; by default twenty times the zip file's.

    Raises:
        LabError: the folder exists, the file is damaged or no zip file, a member would leave the
            folder or is a link or a device, more would come out than the limit, or the disk has no
            room for it.
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
