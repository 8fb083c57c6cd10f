"""Are the packages of pyproject.toml there, in versions that it allows?"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crosskd_lab.doctor.finding import REINSTALL, Finding
from crosskd_lab.files import PROJECT

LOCK = PROJECT / "requirements.lock"
# Distributions that bring the same modules: one is enough.
_ALTERNATIVES = {
    "mmcv-lite": ("mmcv",),
    "opencv-python": ("opencv-python-headless", "opencv-contrib-python"),
}


def package_findings() -> Iterator[Finding]:
    """One finding for each package that pyproject.toml asks for."""
    try:
        wanted = [Requirement(line) for line in metadata.requires("crosskd-lab") or []]
    except metadata.PackageNotFoundError:
        yield Finding("crosskd-lab", False, "not installed in this environment", REINSTALL)
        return
    pins = _pins()
    for requirement in wanted:
        installed = _installed(requirement.name)
        if not _concerns(requirement.marker, installed is not None):
            continue
        name = installed[0] if installed else requirement.name
        remedy = f"pip install '{name}{requirement.specifier}', or {REINSTALL}"
        if installed is None:
            yield Finding(name, False, "not installed", remedy)
        elif not requirement.specifier.contains(installed[1], prereleases=True):
            detail = f"{installed[1]}, but {requirement.specifier} is needed"
            yield Finding(name, False, detail, remedy)
        else:
            yield Finding(name, True, _against_pin(installed[1], pins.get(canonicalize_name(name))))


def _concerns(marker: Marker | None, installed: bool) -> bool:
    """Whether a package is needed, or serves the notebooks and is there."""
    if marker is None or marker.evaluate({"extra": ""}):
        return True
    return installed and marker.evaluate({"extra": "notebooks"})


def _installed(name: str) -> tuple[str, str] | None:
    """Name and version of the installed distribution, or of one that serves instead."""
    for candidate in (name, *_ALTERNATIVES.get(name, ())):
        try:
            return candidate, metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
    return None


def _pins() -> dict[str, str]:
    """The versions in ``requirements.lock`` that are for this Python, by normal name."""
    lines = LOCK.read_text().splitlines() if LOCK.is_file() else []
    pins = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def _against_pin(version: str, pin: str | None) -> str:
    """The version, and the lock's where it is another; a local part such as +cpu is no other."""
    same = pin is None or pin in (version, version.split("+")[0])
    return version if same else f"{version} (requirements.lock has {pin}: in range, not the same)"
