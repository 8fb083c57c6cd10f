"""What the spine asks of any kind of head, dense or not.

Three families answer: dense heads (``base.py`` and one file a head), the RoI head of two-stage
detectors (``roi.py``) and the decoder of Deformable DETR (``decoder.py``). Pair, taps, distiller
and the methods know nothing but this page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmdet.utils import reduce_mean
from torch import Tensor

from ..errors import LabError
from .tensors import HeadTaps, Levels, Predictions, Recipe, Targets

BRANCHES = ("cls", "reg")
TAPS = ("post_relu", "pre_relu")


class HeadFamily:
    """Reads one head of one detector, which it never changes.

    Attributes:
        head: The module that predicts.
        family: "dense", "roi" or "decoder"; student and teacher must be of one.
        recipe: Where and how strongly the authors' code distils this head.
        strides: Pixels between neighbouring locations, per level that the head reads.
        anchors: Predictions a place; places are locations, RoIs or queries.
    """

    family: ClassVar[str] = "dense"
    recipe: ClassVar[Recipe] = Recipe()
    hidden: ClassVar[str] = "hidden convs"  # what the layers are called in messages
    head: Any
    strides: Any
    anchors: Any

    @property
    def rectify(self) -> Callable[[Tensor], Tensor]:
        """What an aligned f_i passes, for i > 0, on its way into layer i + 1: ReLU."""
        return F.relu

    # --- one step -------------------------------------------------------------------------------
    def student_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str
    ) -> tuple[HeadTaps, dict[str, Any], Targets]:
        """Run the student: its tensors, its own detection losses, its assigner's targets."""
        raise NotImplementedError

    def teacher_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str, student: HeadTaps
    ) -> HeadTaps:
        """Run the teacher on the same images (and, of RoIs, at the student's)."""
        raise NotImplementedError

    # --- layers ---------------------------------------------------------------------------------
    @property
    def depth(self) -> int:
        """Number of hidden layers, n - 1 of sec. 3.2: f_i exists for i = 0 ... depth."""
        raise NotImplementedError

    def channels(self, branch: str, i: int) -> int:
        """Channels of f_i."""
        raise NotImplementedError

    def check_layer(self, i: int) -> None:
        """Raise LabError unless 0 <= i <= depth."""
        if not 0 <= i <= self.depth:
            raise LabError(
                f"layer index i = {i} is out of range: {type(self.head).__name__} has "
                f"{self.depth} {self.hidden}, so i must be in 0 ... {self.depth} "
                "(mimicking the prediction itself is PredictionMimicking)"
            )

    def resume(self, branch: str, features: Levels, i: int) -> Levels:
        """Run hidden layers i+1 ... depth on features that stand for f_i."""
        raise NotImplementedError

    def predict(self, last: dict[str, Levels]) -> Predictions:
        """Apply C_n, the predictors, to the last hidden features of the given branches."""
        raise NotImplementedError

    # --- what eq. (1) and (2) need: D_pred, S and |S| -----------------------------------------
    @property
    def num_classes(self) -> int:
        """K, the number of classes that a prediction scores, background left out."""
        raise NotImplementedError

    @property
    def asleep_below(self) -> float:
        """The best score on a batch below which a teacher counts as not loaded."""
        return 0.05  # an untrained focal-loss head gives 0.01 everywhere

    def flat_cls(self, predictions: Predictions) -> Tensor:
        """Class log-odds ``(N, P, K)``: their sigmoid is the score."""
        raise NotImplementedError

    def cls_distance(self, said: Predictions, target: Predictions, beta: float | None) -> Tensor:
        """D_pred of the classification branch, ``(N, P)``; beta None takes the recipe's."""
        raise NotImplementedError

    def reg_distance(self, said: Predictions, target: Predictions, metas: list[dict]) -> Tensor:
        """D_pred of the regression branch, ``(N, P)``."""
        raise NotImplementedError

    def cls_normaliser(self, targets: Targets) -> Tensor | float:
        """|S| of the classification branch: the number of positives, unless the family differs."""
        return targets.num_pos

    def box_normaliser(self, weight: Tensor, targets: Targets) -> Tensor | float:
        """|S| of the regression branch: the number of positives, unless the family differs."""
        return targets.num_pos

    @staticmethod
    def mean_over_processes(count: Tensor | float, like: Tensor) -> Tensor:
        """A count averaged over the processes of a distributed run, as mmdet's losses do, 0-d."""
        return reduce_mean(torch.as_tensor(count, dtype=torch.float32, device=like.device))
