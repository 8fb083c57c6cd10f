"""Dense heads, one adapter a family. To add your head: one class, one line in ``ADAPTERS``."""

from __future__ import annotations

from torch import nn

from ..errors import LabError
from .atss import ATSSAdapter
from .base import BRANCHES, TAPS, HeadAdapter
from .ddod import DDODAdapter
from .fcos import FCOSAdapter
from .gfl import GFLAdapter
from .retinanet import RetinaAdapter
from .tensors import HeadTaps, Levels, Predictions, Recipe, Targets, Towers

ADAPTERS: dict[str, type[HeadAdapter]] = {
    "GFLHead": GFLAdapter,
    "RetinaHead": RetinaAdapter,
    "FCOSHead": FCOSAdapter,
    "ATSSHead": ATSSAdapter,
    "DDODHead": DDODAdapter,
}


def adapter_for(head: nn.Module) -> HeadAdapter:
    """The adapter of a dense head, looked up by the name of its exact class.

    Raises:
        LabError: for a head without one; the message says what to write.
    """
    name = type(head).__name__
    if name not in ADAPTERS:
        raise LabError(
            f"{name} has no adapter (there are: {', '.join(ADAPTERS)}): write one as "
            "docs/add_your_head.md shows in 20 lines and add it to crosskd_lab.heads.ADAPTERS"
        )
    return ADAPTERS[name](head)


__all__ = [
    "RetinaAdapter",
    "GFLAdapter",
    "FCOSAdapter",
    "DDODAdapter",
    "ATSSAdapter",
    "ADAPTERS",
    "BRANCHES",
    "TAPS",
    "HeadAdapter",
    "HeadTaps",
    "Levels",
    "Predictions",
    "Recipe",
    "Targets",
    "Towers",
    "adapter_for",
]
