"""The public checkpoints that taught the paper's students, from MMDetection's model zoo."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from crosskd_lab.errors import LabError
from crosskd_lab.fetch.download import check_sum, download
from crosskd_lab.files import PROJECT

ZOO = "https://download.openmmlab.com/mmdetection/v2.0"
FOLDER = PROJECT / "data" / "teachers"

TEACHERS = {
    "gfl_r101": f"{ZOO}/gfl/gfl_r101_fpn_mstrain_2x_coco/"
    "gfl_r101_fpn_mstrain_2x_coco_20200629_200126-dd12f847.pth",
    "gfl_r50": f"{ZOO}/gfl/gfl_r50_fpn_1x_coco/gfl_r50_fpn_1x_coco_20200629_121244-25944287.pth",
    "retinanet_r101": f"{ZOO}/retinanet/retinanet_r101_fpn_2x_coco/"
    "retinanet_r101_fpn_2x_coco_20200131-5560aee8.pth",
    "retinanet_r50": f"{ZOO}/retinanet/retinanet_r50_fpn_1x_coco/"
    "retinanet_r50_fpn_1x_coco_20200130-c2398f9e.pth",
    "fcos_r101": f"{ZOO}/fcos/fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco/"
    "fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco-511424d6.pth",
    "atss_r101": f"{ZOO}/atss/atss_r101_fpn_1x_coco/atss_r101_fpn_1x_20200825-dfcadd6f.pth",
}
"""Name to address, as MMDetection's metafiles give it. A file's name ends in the first eight digits
of its SHA-256."""


def local_file(name: str, folder: str | Path = FOLDER) -> Path:
    """Where the public teacher ``name`` is kept once it has been fetched.

    Raises:
        LabError: there is no such teacher.
    """
    if name not in TEACHERS:
        raise LabError(f"there is no public teacher {name!r}: choose from {', '.join(TEACHERS)}")
    return Path(folder) / TEACHERS[name].rsplit("/", 1)[1]


def get_teacher(
    name: str,
    folder: str | Path = FOLDER,
    source: str | Path | None = None,
    mirror: str = ZOO,
) -> Path:
    """The file of a public teacher, fetched unless it is there, and checked either way.

    Nothing of the file is executed or even unpickled here; whoever loads it later reads weights
    only (``crosskd_lab.stack.checkpoints``).

    Args:
        name: Of ``TEACHERS``.
        folder: Where to keep it.
        source: A folder that has the file; then nothing is fetched, and the file is copied.
        mirror: Address with the same paths as the model zoo's ``mmdetection/v2.0``.

    Raises:
        LabError: for an unknown name, another checksum, and as ``download``.
    """
    target = local_file(name, folder)
    sha256 = digits(target.name)
    if source is None or target.is_file():
        path = TEACHERS[name].removeprefix(ZOO)
        return download(mirror.rstrip("/") + path, target, sha256)
    given = Path(source) / target.name
    if not given.is_file():
        raise LabError(f"{source} has no {target.name}: put it there, or leave out --from")
    check_sum(given, sha256)
    draft = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(given, draft)
        os.replace(draft, target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LabError(
            f"{target} cannot be written ({error.strerror or error}): free some space"
        ) from error
    return target


def digits(name: str) -> str:
    """The eight digits of a SHA-256 at the end of a file name of the model zoo, ``x-dd12f847.pth``.

    Raises:
        LabError: it has none.
    """
    found = re.search(r"-([0-9a-f]{8})\.pth$", name)
    if not found:
        raise LabError(f"{name} names no checksum: give a file of MMDetection's model zoo")
    return found[1]
