"""Checkpoints on disk: written whole, found again wherever the run's folder has been moved to."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

from mmengine.fileio import LocalBackend, register_backend

from ..errors import LabError
from ..files import write_whole

WHOLE = "whole"
"""Name of the storage backend by which mmengine writes checkpoints."""

_SAVED = re.compile(r"(iter|epoch)_(\d+)\.pth")


class WholeFiles(LocalBackend):
    """mmengine's local files, but a kill while one is written leaves no part of it."""

    def put(self, obj: Any, filepath: str | Path) -> None:
        """Write bytes to a file."""
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        write_whole(filepath, bytes(obj))


register_backend(WHOLE, WholeFiles, force=True)


def last_checkpoint(folder: str | Path) -> Path | None:
    """The newest whole checkpoint of a run's folder, None before the first.

    By the number in its name: mmengine's own note of it holds a path that ends with a move. A file
    that a broken disk has cut short is passed over.
    """
    saved = [path for path in _files(folder) if _SAVED.fullmatch(path.name)]
    newest_first = sorted(saved, key=saved_step, reverse=True)
    return next((path for path in newest_first if zipfile.is_zipfile(path)), None)


def need_checkpoint(folder: str | Path) -> Path:
    """The newest whole checkpoint of a run's folder; LabError before the first."""
    if newest := last_checkpoint(folder):
        return newest
    raise LabError(f"{folder} holds no checkpoint: name a run that has saved one")


def saved_step(checkpoint: str | Path | None) -> int:
    """The step in a checkpoint's name; 0 for none."""
    match = _SAVED.fullmatch(Path(checkpoint or "").name)
    return int(match[2]) if match else 0


def _files(folder: str | Path) -> list[Path]:
    return list(Path(folder).iterdir()) if Path(folder).is_dir() else []
