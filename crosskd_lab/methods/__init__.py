"""Distillation methods, one file and one class each.

A new method is one file here: subclass :class:`Method`, return named losses from Taps, keep the
defaults in the signature. A config names the class itself, ``methods=[dict(type=PKD, weight=6)]``.
"""

from .base import Method, PredictionTerms
from .crosskd import CrossKD
from .pkd import PKD
from .prediction_mimicking import PredictionMimicking

__all__ = ["PKD", "CrossKD", "Method", "PredictionMimicking", "PredictionTerms"]
