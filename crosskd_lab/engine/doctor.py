"""Is this machine fit for the lab? Each check answers in one line, and each FAIL has a remedy."""

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from ..errors import LabError

REINSTALL = "run `make` in the project's folder, or pip install -e . in this environment"
# Distributions that bring the same modules: one is enough.
ALTERNATIVES = {
    "mmcv-lite": ("mmcv",),
    "opencv-python": ("opencv-python-headless", "opencv-contrib-python"),
}
FREE_GB = 2  # a run's checkpoints and a scene set, with room to spare


class Finding(NamedTuple):
    """What one check found: ``detail`` in either case, ``remedy`` where it is not ``ok``."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def finding(name: str, look: Callable[[], str], remedy: str) -> Finding:
    """What a look finds: it returns its detail or raises; a LabError tells what is wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of stock wheels about their own age
            return Finding(name, True, look())
    except LabError as error:
        return Finding(name, False, str(error), remedy)
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        return Finding(name, False, f"{type(error).__name__}: {first_line}", remedy)


def package_findings() -> Iterator[Finding]:
    """One finding for each package that pyproject.toml asks for."""
    try:
        wanted = [Requirement(line) for line in metadata.requires("crosskd-lab") or []]
    except metadata.PackageNotFoundError:
        yield Finding("crosskd-lab", False, "not installed in this environment", REINSTALL)
        return
    for requirement in wanted:
        if requirement.marker and not requirement.marker.evaluate({"extra": "lab"}):
            continue  # of another Python, or what tests and clusters need
        name, version = _installed(requirement.name)
        remedy = f"pip install '{name}{requirement.specifier}', or {REINSTALL}"
        if not version:
            yield Finding(name, False, "not installed", remedy)
        elif not requirement.specifier.contains(version, prereleases=True):
            detail = f"{version}, but {requirement.specifier} is needed"
            yield Finding(name, False, detail, remedy)
        else:
            yield Finding(name, True, version)


def _installed(name: str) -> tuple[str, str]:
    """Name and version of the installed distribution, or of one that serves instead."""
    for candidate in (name, *ALTERNATIVES.get(name, ())):
        try:
            return candidate, metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
    return name, ""


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
    pooled = roi_align(ramp, whole, (2, 2), 1.0, 1).flatten()
    right = [2.5, 4.5, 10.5, 12.5]
    if not torch.allclose(pooled, torch.tensor(right, device=device), atol=1e-4):
        raise LabError(f"roi_align gave {pooled.tolist()} where {right} is right")
    compiled = getattr(mmcv._ext, "__file__", None)
    kind = f"compiled ({compiled})" if compiled else "the lab's stand-in"
    return f"{kind}; nms and roi_align are right on {device}"


def _detector() -> str:
    """A GFL by mmdet's own config, with random weights, finds boxes in a small blank image."""
    import mmdet.models  # noqa: F401  (registers the parts)
    import torch
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmengine.config import Config

    config = Config.fromstring("_base_ = 'mmdet::gfl/gfl_r50_fpn_1x_coco.py'", ".py").model
    config["test_cfg"]["score_thr"] = 0.0  # without training no score is high
    model = MODELS.build(config).eval().to(_best_device())
    meta = {"img_shape": (64, 64), "ori_shape": (64, 64), "scale_factor": (1.0, 1.0)}
    image = torch.zeros(1, 3, 64, 64, device=_best_device())
    with torch.no_grad():
        found = model.predict(image, [DetDataSample(metainfo=meta)])[0].pred_instances
    if not len(found) or not found.bboxes.isfinite().all():
        raise LabError(f"GFL gave {len(found)} boxes, or boxes that are not finite")
    return f"GFL went from a blank image to {len(found)} boxes, untrained"


def _disk() -> str:
    folder = Path.cwd()
    free = shutil.disk_usage(folder).free / 1e9
    if free < FREE_GB:
        raise LabError(f"{free:.1f} GB free in {folder}, {FREE_GB} GB are needed")
    return f"{free:.0f} GB free in {folder}"


def findings() -> Iterator[Finding]:
    """All findings, each as soon as it is there: the first FAIL may explain those after it.

    Takes some six seconds, most of them to import mmdet.
    """
    yield finding("python", _python, "install Python 3.10, 3.11 or 3.12 and run `make`")
    yield from package_findings()
    hidden = "hide its GPU: CUDA_VISIBLE_DEVICES= crosskd-lab doctor"
    yield finding("device", _device, f"install a torch for this machine, or {hidden}")
    headless = "if libGL is named: pip install opencv-python-headless"
    reinstalled = "pip uninstall -y mmcv mmcv-lite && pip install mmcv-lite==2.1.0"
    yield finding("mmcv ops", _mmcv_ops, f"{reinstalled}; {headless}")
    yield finding("detector", _detector, "pip install 'setuptools<81' 'mmdet==3.3.*'")
    yield finding("disk", _disk, "free some space, or work in a folder on another disk")
