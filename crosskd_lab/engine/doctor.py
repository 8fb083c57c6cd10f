"""Is this machine fit for the lab? Each check answers in one line, and each FAIL has a remedy."""

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ..errors import LabError
from ..files import PROJECT

TEACHERS = PROJECT / "data" / "teachers"

REINSTALL = "run `make` in the project's folder, or pip install -e . in this environment"


@dataclass(frozen=True)
class Finding:
    """What one check found: ``detail`` in either case, ``remedy`` where it is not ``ok``."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


class Check(NamedTuple):
    """A look that returns its detail or raises, and what to do when it raises."""

    name: str
    look: Callable[[], str]
    remedy: str

    def finding(self) -> Finding:
        """Looks; ``LabError`` tells what is wrong, any other error is itself what is wrong."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of stock wheels about their own age
                return Finding(self.name, True, self.look())
        except LabError as error:
            return Finding(self.name, False, str(error), self.remedy)
        except Exception as error:
            first_line = (str(error).splitlines() or [""])[0]
            detail = f"{type(error).__name__}: {first_line}"
            return Finding(self.name, False, detail, self.remedy)


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
        if requirement.marker and not requirement.marker.evaluate({"extra": "lab"}):
            continue  # of another Python, or what tests and clusters need
        installed = _installed(requirement.name)
        name = installed[0] if installed else requirement.name
        remedy = f"pip install '{name}{requirement.specifier}', or {REINSTALL}"
        if installed is None:
            yield Finding(name, False, "not installed", remedy)
        elif not requirement.specifier.contains(installed[1], prereleases=True):
            detail = f"{installed[1]}, but {requirement.specifier} is needed"
            yield Finding(name, False, detail, remedy)
        else:
            version, pin = installed[1], pins.get(canonicalize_name(name))
            if pin not in (None, version, version.split("+")[0]):  # +cpu and the like are no other
                version += f" (requirements.lock has {pin}: in range, not the same)"
            yield Finding(name, True, version)


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


_FREE_GB = 2  # a run's checkpoints and a scene set, with room to spare


def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        raise LabError(f"{version}, outside 3.10 to 3.12")
    return f"{version} at {sys.executable}"


def _device() -> str:
    import torch

    name = _best_device()
    torch.ones(8, 8, device=name).mm(torch.ones(8, 8, device=name)).sum().item()
    if name == "cuda":
        count = torch.cuda.device_count()
        return f"CUDA: {count} x {torch.cuda.get_device_name()}, torch {torch.__version__}"
    return f"CPU: {torch.get_num_threads()} of {os.cpu_count()} threads, torch {torch.__version__}"


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _threads() -> str:
    """Idle OpenMP threads that spin can slow two processes on two cores a hundredfold."""
    number, policy = (os.environ.get(f"OMP_{word}") for word in ("NUM_THREADS", "WAIT_POLICY"))
    if number is not None and not (number.isdecimal() and int(number) <= (os.cpu_count() or 1)):
        raise LabError(f"OMP_NUM_THREADS={number} on {os.cpu_count()} cores")
    if policy is not None and policy.upper() != "PASSIVE":
        raise LabError(f"OMP_WAIT_POLICY={policy}: waiting threads burn the cores of working ones")
    return f"OMP_NUM_THREADS={number or 'unset'}, OMP_WAIT_POLICY={policy or 'unset'}"


def _torchvision() -> str:
    import torchvision
    from torchvision.extension import _has_ops

    if _has_ops():
        return f"{torchvision.__version__} with its own kernels"
    return f"{torchvision.__version__} without kernels beside this torch: the lab's are used"


def _mmcv_ops() -> str:
    """Runs two ops on cases with known answers, on the device that training would use."""
    import mmcv
    import torch
    from mmcv.ops import nms, roi_align

    device = _best_device()
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 6], [20, 20, 30, 30]], device=device)
    kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)[1].tolist()
    if kept != [0, 2]:
        raise LabError(f"nms kept boxes {kept} where [0, 2] is right")
    ramp = torch.arange(16.0, device=device).reshape(1, 1, 4, 4)
    whole = torch.tensor([[0.0, 0, 0, 4, 4]], device=device)
    pooled = roi_align(ramp, whole, (2, 2), 1.0, 1).flatten().tolist()
    right = [2.5, 4.5, 10.5, 12.5]
    if any(abs(a - b) > 1e-4 for a, b in zip(pooled, right, strict=True)):
        raise LabError(f"roi_align gave {pooled} where {right} is right")
    compiled = getattr(mmcv._ext, "__file__", None)
    kind = f"compiled ({compiled})" if compiled else "the lab's stand-in"
    return f"{kind}; nms and roi_align are right on {device}"


def _configs() -> str:
    return f"mmdet's configs load by name: {_gfl_config()['type']}"


def _gfl_config() -> dict[str, Any]:
    from mmengine.config import Config

    return Config.fromstring("_base_ = 'mmdet::gfl/gfl_r50_fpn_1x_coco.py'", ".py").model


def _detector() -> str:
    """A GFL with random weights finds boxes in a small blank image."""
    import mmdet.models  # noqa: F401  (registers the parts)
    import torch
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample

    config = _gfl_config()
    config["test_cfg"]["score_thr"] = 0.0  # without training no score is high
    model = MODELS.build(config).eval().to(_best_device())
    meta = {"img_shape": (64, 64), "ori_shape": (64, 64), "scale_factor": (1.0, 1.0)}
    image = torch.zeros(1, 3, 64, 64, device=_best_device())
    with torch.no_grad():
        found = model.predict(image, [DetDataSample(metainfo=meta)])[0].pred_instances
    if not len(found) or not found.bboxes.isfinite().all():
        raise LabError(f"GFL gave {len(found)} boxes, or boxes that are not finite")
    return f"GFL went from a blank image to {len(found)} boxes, untrained"


def _teachers() -> str:
    from ..stack.checkpoints import read_weights

    files = sorted(TEACHERS.glob("**/*.safetensors"))
    for file in files:
        read_weights(file)
    if TEACHERS.is_dir() and not files:
        raise LabError(f"no .safetensors file in {TEACHERS}")
    names = ", ".join(file.stem for file in files)
    return f"{names}: readable" if names else f"none shipped with this installation ({TEACHERS})"


def _disk() -> str:
    folder = Path.cwd()
    free = shutil.disk_usage(folder).free / 1e9
    if free < _FREE_GB:
        raise LabError(f"{free:.1f} GB free in {folder}, {_FREE_GB} GB are needed")
    return f"{free:.0f} GB free in {folder}"


CHECKS = (
    Check("python", _python, "install Python 3.10, 3.11 or 3.12 and run `make`"),
    Check(
        "device",
        _device,
        "install a torch for this machine, or hide its GPU: "
        "CUDA_VISIBLE_DEVICES= crosskd-lab doctor",
    ),
    Check("threads", _threads, "unset OMP_NUM_THREADS and OMP_WAIT_POLICY"),
    Check("torchvision ops", _torchvision, "install the torchvision that belongs to this torch"),
    Check(
        "mmcv ops",
        _mmcv_ops,
        "pip uninstall -y mmcv mmcv-lite && pip install mmcv-lite==2.1.0;"
        " if libGL is named: pip install opencv-python-headless",
    ),
    Check("configs", _configs, "pip install 'setuptools<81' 'mmdet==3.3.*'"),
    Check("detector", _detector, REINSTALL),
    Check("teachers", _teachers, "git checkout -- data/teachers"),
    Check("disk", _disk, "free some space, or work in a folder on another disk"),
)


def findings() -> Iterator[Finding]:
    """All findings, each as soon as it is there: the first FAIL may explain those after it.

    Takes some six seconds, most of them to import mmdet.
    """
    python, *others = CHECKS
    yield python.finding()
    yield from package_findings()
    for check in others:
        yield check.finding()
