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


class SeabornFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Puts seaborn off until something of it is used.

    Every import of mmdet names it, for pictures of tracks; with it come scipy.stats, pandas and
    ipywidgets, a fifth of the time in which a process that trains is ready. ``LazyLoader`` would
    load it as soon as ``inspect`` asks all modules for their files.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "seaborn":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None:
            spec.loader = self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Unused(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run yet."""


class _Unused(ModuleType):
    """A module whose code runs when the first of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        spec = importlib.machinery.PathFinder.find_spec(self.__name__)
        assert spec is not None and spec.loader is not None
        self.__class__ = ModuleType  # type: ignore[assignment]  # asks no more
        spec.loader.exec_module(self)
        return getattr(self, name)


class SettledFinder(importlib.abc.MetaPathFinder):
    """Takes what is imported already out of the garbage collector's sight; finds nothing itself.

    Else it looks through torch and mmcv again and again while mmdet comes, in vain: a fifth of the
    time in which a process that trains is ready.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
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
    for first in (TorchvisionFinder, SeabornFinder, SettledFinder):
        if not any(isinstance(f, first) for f in sys.meta_path):
            sys.meta_path.insert(0, first())
    if not any(isinstance(f, MmcvExtFinder) for f in sys.meta_path):
        sys.meta_path.append(MmcvExtFinder())
