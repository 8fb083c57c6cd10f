"""Training by mmengine's Runner; importing this registers what our configs name by string."""

from ..distiller import Distiller
from .distances import Distances
from .draws import DrawLoop, Draws, DrawSampler
from .hooks import LossGuard, MethodState, RunMetrics
from .initial import WholeBackbone
from .metric import BoxAP
from .run import build_runner, prepare_engine, train
from .saves import last_checkpoint

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
    "last_checkpoint",
    "prepare_engine",
    "train",
]
