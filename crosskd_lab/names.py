"""What can be named at the pocket scale, read from what is there. No torch: ``--help`` lists it."""

from __future__ import annotations

from .files import PROJECT


def detectors() -> list[str]:
    """Detectors that may be student or teacher: ``gfl_r18_w16`` for configs/pocket/gfl_r18_w16.py.

    A detector's name is its head's family, its backbone and the backbone's width.
    """
    return [name for name in _pocket() if "_w" in name]


def methods() -> list[str]:
    """Ways to train a student that are not tied to one family: ``none``, ``kd``, ``crosskd`` ..."""
    families = {name.split("_")[0] for name in detectors()}
    return [name for name in _pocket() if name.split("_")[0] not in families]


def teachers() -> list[str]:
    """Trained teachers that are shipped in data/teachers."""
    return sorted(path.stem for path in (PROJECT / "data" / "teachers").glob("*.safetensors"))


def listed(names: list[str]) -> str:
    """Names in one line; "none" for an empty list."""
    return ", ".join(names) or "none"


def _pocket() -> list[str]:
    return sorted(path.stem for path in (PROJECT / "configs" / "pocket").glob("*.py"))
