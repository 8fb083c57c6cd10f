"""Where a number came from: the code's commit, the packages, the machine. Imports none of them."""

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from ..files import PACKAGE, portable_path, usable_cores

OWN = str(Path(__file__).relative_to(PACKAGE))  # this file, as git would hold it
PACKAGES = ("torch", "torchvision", "mmdet", "mmengine", "mmcv", "mmcv-lite", "numpy")


def origin() -> dict[str, Any]:
    """What a measurement has to say of itself: ``command``, date, commit, packages, machine."""
    name, *arguments = sys.argv
    return {
        "command": [Path(name).name, *map(portable_path, arguments)],
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "git": code_version(),
        "versions": package_versions(),
        "machine": machine(),
    }


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
    return {
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "memory_gib": _memory_gib(),
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


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return round(size / 2**30, 1)
