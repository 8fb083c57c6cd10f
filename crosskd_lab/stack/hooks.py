"""Two import finders that let mmdet run on stock wheels; neither imports anything by itself."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

_TORCHVISION_OPS = ("nms", "qnms")


class MmcvExtFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serves the stand-in for ``mmcv._ext``; last on ``sys.meta_path``, so a compiled one wins."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "mmcv._ext":
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        from .ext import StandInExt

        return StandInExt(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: ``create_module`` returns the finished module."""


class TorchvisionFinder(importlib.abc.MetaPathFinder):
    """Defines the op schemas that a torchvision without its CUDA libraries cannot load.

    ``torchvision._meta_registrations`` needs them, so the finder comes first on
    ``sys.meta_path``, acts just before that file is found, and finds nothing itself.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        if fullname == "torchvision._meta_registrations":
            _define_missing_ops()


def _define_missing_ops() -> None:
    import torch
    from torchvision.extension import _has_ops

    if _has_ops():
        return
    for op in _TORCHVISION_OPS:
        if not hasattr(torch.ops.torchvision, op):
            torch.library.define(
                f"torchvision::{op}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )


def install() -> None:
    """Puts both finders on ``sys.meta_path``; doing it twice changes nothing."""
    if not any(isinstance(f, TorchvisionFinder) for f in sys.meta_path):
        sys.meta_path.insert(0, TorchvisionFinder())
    if not any(isinstance(f, MmcvExtFinder) for f in sys.meta_path):
        sys.meta_path.append(MmcvExtFinder())
