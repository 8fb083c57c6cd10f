"""Heads, one adapter a kind. To add a dense head: one class, one line in ``ADAPTERS``."""

from collections.abc import Callable
from typing import Any

from torch import nn

from ..errors import LabError
from .atss import ATSSAdapter
from .base import HeadDefaults, HeadFamily
from .ddod import DDODAdapter
from .decoder import DecoderAdapter
from .dense import HeadAdapter
from .fcos import FCOSAdapter
from .gfl import GFLAdapter
from .paa import PAAAdapter
from .retinanet import RetinaAdapter
from .roi import RoIAdapter
from .rtmdet import RTMDetAdapter
from .tood import TOODAdapter
from .vfnet import VFNetAdapter
from .yolox import YOLOXAdapter

ADAPTERS: dict[str, type[HeadAdapter]] = {
    "GFLHead": GFLAdapter,
    "RetinaHead": RetinaAdapter,
    "FCOSHead": FCOSAdapter,
    "ATSSHead": ATSSAdapter,
    "DDODHead": DDODAdapter,
    "PAAHead": PAAAdapter,
    "VFNetHead": VFNetAdapter,
    "TOODHead": TOODAdapter,
    "RTMDetSepBNHead": RTMDetAdapter,
    "YOLOXHead": YOLOXAdapter,
}

DETECTORS: dict[str, Callable[[Any], HeadFamily]] = {
    "FasterRCNN": RoIAdapter,
    "DeformableDETR": DecoderAdapter,
}
"""Detectors whose head is not dense, by the name of their class."""


def adapter_of(detector: nn.Module) -> Any:
    """The adapter of a detector's head: its dense head's, or that of its whole family; else
    LabError.
    """
    name = type(detector).__name__
    if name in DETECTORS:
        return DETECTORS[name](detector)
    head = getattr(detector, "bbox_head", None)
    if not isinstance(head, nn.Module):
        raise LabError(
            f"{name} has no dense head, and no adapter of its own (there are: "
            f"{', '.join(DETECTORS)}): write one after crosskd_lab/heads/roi.py"
        )
    return adapter_for(head)


def adapter_for(head: nn.Module) -> HeadAdapter:
    """The adapter of a dense head, looked up by the name of its exact class; LabError says what to
    write.
    """
    name = type(head).__name__
    if name not in ADAPTERS:
        raise LabError(
            f"{name} has no adapter (there are: {', '.join(ADAPTERS)}): write one as "
            "docs/add_your_head.md shows in 20 lines and add it to crosskd_lab.heads.ADAPTERS"
        )
    return ADAPTERS[name](head)
