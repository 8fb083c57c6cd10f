"""Distillation methods, one file and one class each.

A new method is one file here: subclass :class:`Method`, return named losses from Taps, keep the
defaults in the signature. A config names the class itself, ``methods=[dict(type=PKD, weight=6)]``.
"""

from .assistant_head import AssistantHead
from .base import Method, PredictionTerms
from .crosskd import CrossKD
from .decoder_crosskd import DecoderCrossKD, DecoderMimicking
from .defeat import DeFeat
from .fgd import FGD
from .fine_grained import FineGrained
from .fitnets import FitNets
from .gid import GID
from .inside_gt import InsideGT
from .ld import LD
from .main_region import MainRegion
from .pkd import PKD
from .prediction_mimicking import PredictionMimicking
from .rpn_crosskd import RPNCrossKD
from .skd import SKD

METHODS: dict[str, type[Method]] = {
    "kd": PredictionMimicking,
    "fitnets": FitNets,
    "inside_gt": InsideGT,
    "defeat": DeFeat,
    "main_region": MainRegion,
    "fine_grained": FineGrained,
    "fgd": FGD,
    "gid": GID,
    "skd": SKD,
    "ld": LD,
    "pkd": PKD,
    "crosskd": CrossKD,
}
"""Every method by the name of its pocket config, in the order of Table 5."""

__all__ = [
    "FGD",
    "GID",
    "LD",
    "METHODS",
    "PKD",
    "SKD",
    "AssistantHead",
    "CrossKD",
    "DeFeat",
    "DecoderCrossKD",
    "DecoderMimicking",
    "FineGrained",
    "FitNets",
    "InsideGT",
    "MainRegion",
    "Method",
    "PredictionMimicking",
    "PredictionTerms",
    "RPNCrossKD",
]
