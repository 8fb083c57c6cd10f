"""Import finders: mmdet on stock wheels, and quickly. None imports anything by itself."""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

_TORCHVISION_OPS = ("nms", "qnms")
_LARGE = ("torch.functional", "mmengine.model", "mmcv", "mmdet", "mmdet.models")


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


class StockFinder(importlib.abc.MetaPathFinder):
    """Acts just before some modules are imported, so it is first on ``sys.meta_path``; finds none.

    A torchvision without its CUDA libraries lacks op schemas that its ``_meta_registrations``
    needs. And what is imported already is taken out of the garbage collector's sight, which would
    look through torch and mmcv again and again while mmdet comes: an eighth of the time in which a
    process that trains is ready.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        if fullname == "torchvision._meta_registrations":
            _define_missing_ops()
        if fullname in _LARGE:
            gc.freeze()


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
    """Puts the finders on ``sys.meta_path``; doing it twice changes nothing."""
    if not any(isinstance(finder, StockFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, StockFinder())
        sys.meta_path.append(MmcvExtFinder())
