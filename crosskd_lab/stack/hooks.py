"""Import finders: mmdet on stock wheels, and quickly. None imports anything by itself."""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_TORCHVISION_OPS = ("nms", "qnms")
_LARGE = ("torch.functional", "mmengine.model", "mmcv", "mmdet", "mmdet.models")
_TRACKING = "mmdet.utils.mot_error_visualize"  # comes with all of mmdet, wants seaborn's colours


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


class Later(ModuleType):
    """Stands for a module that is imported when something asks for one of its names."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


class SeabornLater(importlib.machinery.SourceFileLoader):
    """Loads a module whose ``import seaborn`` costs nothing until it draws."""

    def exec_module(self, module: ModuleType) -> None:
        if "seaborn" in sys.modules:
            return super().exec_module(module)
        sys.modules["seaborn"] = Later("seaborn")
        try:
            super().exec_module(module)
        finally:
            del sys.modules["seaborn"]


class StockFinder(importlib.abc.MetaPathFinder):
    """Acts just before some modules are imported, so it is first on ``sys.meta_path``.

    A torchvision without its CUDA libraries lacks op schemas that its ``_meta_registrations``
    needs. The rest is for the time in which a process that trains is ready. What is imported
    already is taken out of the garbage collector's sight, which would look through torch and mmcv
    again and again while mmdet comes: an eighth of it. And mmdet's pictures of tracking errors do
    without seaborn, and its pandas and scipy, until one is drawn: a fifth.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "torchvision._meta_registrations":
            _define_missing_ops()
        if fullname in _LARGE:
            gc.freeze()
        if fullname != _TRACKING:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin is not None:
            spec.loader = SeabornLater(fullname, spec.origin)
        return spec


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
