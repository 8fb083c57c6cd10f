"""Distillation methods, one file and one class each.

A new method is one file here: subclass :class:`Method`, return named losses from Taps, keep the
defaults in the signature. A config names the class itself, ``methods=[dict(type=PKD, weight=6)]``.

A published weight belongs to what it was found with: COCO's K = 80 classes, so many images a
process (two, for ATSS eight) and a schedule of 12 or 24 epochs. Every loss here is the same number
for the same images twice and beside classes that nobody scores, so that its weight means the same
in any batch and for any K; the paragraph "Carried over" says how. What no formula carries over is
the schedule: a weight found with 90,000 steps may be wrong for 240.
"""

from .assistant_head import AssistantHead
from .base import Method
from .crosskd import CrossKD, PredictionMimicking, PredictionTerms
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
