"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import LabError


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
