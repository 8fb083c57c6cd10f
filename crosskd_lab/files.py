"""Where the project stands, and writing a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import LabError

PACKAGE = Path(__file__).resolve().parent
PROJECT = PACKAGE.parent
"""The checkout, with ``configs``, ``data`` and ``notebooks``; every path in it begins here."""


def portable_path(path: str | Path) -> str:
    """A path inside the project relative to it, with forward slashes; any other as it is.

    Words that are no absolute path, such as options of a command line, come back unchanged.
    """
    text = os.fspath(path)
    if os.path.isabs(text) and Path(text).is_relative_to(PROJECT):
        return Path(text).relative_to(PROJECT).as_posix()
    return text


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Writes a file so that a reader sees the old content or all of the new, never a part.

    Raises:
        LabError: if the disk is full, or the place may not be written to.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(draft, path)
    except OSError as error:
        raise LabError(
            f"{path} cannot be written ({error.strerror or error}): free some space, or choose "
            "another folder"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
