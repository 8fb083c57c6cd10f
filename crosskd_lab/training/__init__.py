"""Training by mmengine's Runner; importing this registers what our configs name by string."""

from ..distiller import Distiller
from .draws import Draws, DrawLoop, DrawSampler
from .hooks import LossGuard, MethodState, RunMetrics
from .distances import Distances
from .initial import WholeBackbone
from .metric import BoxAP
from .run import build_runner, prepare_engine, train

__all__ = [
    "BoxAP",
    "Distances",
    "Distiller",
    "DrawLoop",
    "DrawSampler",
    "Draws",
    "LossGuard",
    "MethodState",
    "RunMetrics",
    "WholeBackbone",
    "build_runner",
    "prepare_engine",
    "train",
]
