"""Where a number came from: the code's commit, the packages, the machine. Imports none of them."""

import platform
import re
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from ..files import PACKAGE, portable_path, usable_cores

OWN = str(Path(__file__).relative_to(PACKAGE))  # this file, as git would hold it
PACKAGES = ("torch", "torchvision", "mmdet", "mmengine", "mmcv", "mmcv-lite", "numpy")


def origin() -> dict[str, Any]:
    """What a measurement has to say of itself: ``command``, date, commit, packages, machine."""
    name, *arguments = sys.argv
    return {
        "command": [Path(name).name, *map(portable_path, arguments)],
        "date": now(),
        "git": code_version(),
        "versions": package_versions(),
        "machine": machine(),
    }


def now() -> str:
    """The time, in UTC and whole seconds: "2024-06-17T09:30:00Z"."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def code_version() -> dict[str, Any]:
    """The commit of this package: ``commit``, ``dirty`` and ``reason``.

    ``dirty`` says whether the package's own files differ from that commit. Both are None where
    git does not hold this package (a wheel, a downloaded archive), and ``reason`` says why.
    """
    try:
        _git("ls-files", "--error-unmatch", OWN)
        changes = _git("status", "--porcelain", "--", ".")
        return {"commit": _git("rev-parse", "HEAD"), "dirty": bool(changes), "reason": None}
    except FileNotFoundError:
        reason = "git is not installed"
    except subprocess.CalledProcessError:
        reason = "this copy of crosskd_lab is not under git, or git may not read it"
    return {"commit": None, "dirty": None, "reason": reason}


def package_versions() -> dict[str, str | None]:
    """The versions of Python and of the packages that decide a result; None if not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def machine() -> dict[str, Any]:
    """The machine: ``cpu`` model, usable ``cores``, ``memory_gib``, ``platform``. No host name."""
    known = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: *(.*)", known.read_text() if known.is_file() else "")
    return {
        "cpu": named[1].strip() if named else platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "platform": platform.platform(),
    }


def _git(*arguments: str) -> str:
    call = ["git", "-C", str(PACKAGE), *arguments]
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
