"""Runs each op test on the code in Python and, where it loads, on torchvision's kernels."""

import sys

import pytest

from crosskd_lab.stack.ext import StandInExt
from crosskd_lab.stack.ops import common, deform_conv, nms, roi_align

# The files of mmcv.ops whose functions the tests call; each holds its own ``ext_module``.
_CALLERS = (
    "deform_conv",
    "focal_loss",
    "modulated_deform_conv",
    "multi_scale_deform_attn",
    "nms",
    "roi_align",
)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has mmcv.ops call the stand-in, also where a compiled mmcv is installed."""
    import mmcv.ops  # noqa: F401

    for name in _CALLERS:
        monkeypatch.setattr(sys.modules[f"mmcv.ops.{name}"], "ext_module", StandInExt("stand_in"))


@pytest.fixture(params=["python", "torchvision"] if common.torchvision_op("nms") else ["python"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which kernels nms, roi_align and deform_conv use."""
    if request.param == "python":
        for module in (deform_conv, nms, roi_align):
            monkeypatch.setattr(module, "torchvision_op", lambda name: None)
    return request.param
