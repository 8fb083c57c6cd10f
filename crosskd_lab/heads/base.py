"""What every head adapter takes and gives, dense or not: named tensors, and eq. (1)'s parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmdet.utils import reduce_mean
from torch import Tensor

from ..errors import LabError

BRANCHES = ("cls", "reg")
TAPS = ("post_relu", "pre_relu")

Levels = tuple[Tensor, ...]
"""One ``(N, C, H_l, W_l)`` map per pyramid level, finest first."""

Towers = dict[str, tuple[Levels, ...]]
"""``towers[branch][i][level]`` is f_i: i = 0 the neck feature, i >= 1 after hidden conv i."""


@dataclass(frozen=True)
class Predictions:
    """What a dense head says, level by level, in its own box coding.

    Attributes:
        cls: Class logits, ``(N, A * K, H_l, W_l)`` with A priors a location and K classes.
        reg: Box outputs, ``(N, A * R, H_l, W_l)``; R = 4, or 4 * (reg_max + 1) bins.
        centerness: Centerness logits ``(N, A, H_l, W_l)`` for heads that have them.
    """

    cls: Levels
    reg: Levels
    centerness: Levels | None = None


@dataclass(frozen=True)
class HeadTaps:
    """One detector's tensors on one batch.

    ``neck`` holds the FPN's outputs ``(N, C, H_l, W_l)`` per level, ``towers[branch][i][level]`` is
    f_i, ``predictions`` are the head's own.
    """

    neck: Levels
    towers: Towers
    predictions: Predictions


@dataclass(frozen=True)
class Targets:
    """What the student's assigner decided for every prior, P priors an image.

    Attributes:
        labels: ``(N, P)`` class index, K for background.
        label_weights: ``(N, P)``, 1 = positive or negative, 0 = ignored or outside the image.
        boxes: ``(N, P, 4)`` assigned ground truth, xyxy in input pixels; zero where background.
        num_pos: Number of positives as the student's head counts it: at least 1, averaged over
            processes. On a GPU it stays there: to read it as a number would be to wait.
        num_classes: K.
        centres: ``(P, 2)`` centre of every prior, x and y in input pixels.
        quality: ``(N, P)`` in [0, 1], what the class score of a positive shall be, from heads whose
            assigner says so (TOOD); None where it is 1 or follows from the boxes.
    """

    labels: Tensor
    label_weights: Tensor
    boxes: Tensor
    num_pos: Tensor | float
    num_classes: int
    centres: Tensor | None = None
    quality: Tensor | None = None

    @property
    def positive(self) -> Tensor:
        """``(N, P)`` bool: locations that the assigner gave to an object."""
        return (self.labels >= 0) & (self.labels < self.num_classes)

    @property
    def centerness(self) -> Tensor:
        """FCOS's centerness (Tian et al. 2019, eq. 3) of each positive in its box, ``(N, P)``.

        ``sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))``; 0 at background, and at positives
        whose centre lies outside their box.
        """
        assert self.centres is not None
        before = self.centres - self.boxes[..., :2]  # (N, P, 2): l, t
        after = self.boxes[..., 2:] - self.centres  # (N, P, 2): r, b
        least, most = torch.minimum(before, after), torch.maximum(before, after)
        ratio = least.clamp(min=0) / most.clamp(min=1e-6)  # (N, P, 2)
        return ratio.prod(-1).sqrt() * self.positive


@dataclass(frozen=True)
class HeadDefaults:
    """Where and how strongly the authors' code distils a head family.

    Attributes:
        layer: i of f_i.
        cls_weight, reg_weight, centerness_weight: Weights of the terms.
        beta: Exponent of the quality focal loss.
        align: How f_i^s is fitted before delivery, see :mod:`crosskd_lab.cross_head`.
        neck_weight: Weight of PKD on the neck beside CrossKD.
    """

    layer: int = 3
    cls_weight: float = 1.0
    reg_weight: float = 1.0
    centerness_weight: float = 0.0
    beta: float = 1.0
    align: str = "statistics"
    neck_weight: float = 6.0


class HeadFamily:
    """Reads one head of one detector, which it never changes.

    Attributes:
        head: The module that predicts.
        family: "dense", "roi" or "decoder"; student and teacher must be of one.
        defaults: Where and how strongly the authors' code distils this head.
        strides: Pixels between neighbouring locations, per level that the head reads.
        anchors: Predictions a place; places are locations, RoIs or queries.
    """

    family: ClassVar[str] = "dense"
    defaults: ClassVar[HeadDefaults] = HeadDefaults()
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
        """Run the student on ``(N, 3, H, W)``: its tensors, own losses, its assigner's targets."""
        raise NotImplementedError

    def teacher_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str, student: HeadTaps
    ) -> HeadTaps:
        """Run the teacher on the same ``(N, 3, H, W)`` images (and, of RoIs, at the student's)."""
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
        if i not in range(self.depth + 1):
            raise LabError(
                f"layer index i = {i!r} is out of range: {type(self.head).__name__} has "
                f"{self.depth} {self.hidden}, so i must be in 0 ... {self.depth} "
                "(mimicking the prediction itself is PredictionMimicking)"
            )

    def forward_from(self, branch: str, features: Levels, i: int) -> Levels:
        """Run hidden layers i+1 ... depth on ``(N, C, H, W)`` features that stand for f_i."""
        raise NotImplementedError

    def predict(self, last: dict[str, Levels]) -> Predictions:
        """Apply C_n, the predictors, to the last hidden features ``(N, C, ...)``."""
        raise NotImplementedError

    # --- what eq. (1) and (2) need: D_pred, S and |S| -----------------------------------------
    @property
    def num_classes(self) -> int:
        """K, the number of classes that a prediction scores (sigmoid: no background entry)."""
        return int(self.head.cls_out_channels)

    @property
    def least_confidence(self) -> float:
        """The best score on a batch below which a teacher counts as not loaded."""
        return 0.05  # an untrained focal-loss head gives 0.01 everywhere

    def flat_cls(self, predictions: Predictions) -> Tensor:
        """Class log-odds ``(N, P, K)``: their sigmoid is the score."""
        raise NotImplementedError

    def cls_distance(self, prediction: Predictions, target: Predictions) -> Tensor:
        """D_pred of the classification branch, ``(N, P)``."""
        raise NotImplementedError

    def reg_distance(
        self, prediction: Predictions, target: Predictions, metas: list[dict]
    ) -> Tensor:
        """D_pred of the regression branch, ``(N, P)``."""
        raise NotImplementedError

    def cls_normaliser(self, targets: Targets) -> Tensor | float:
        """|S| of the classification branch, a scalar: the positives, unless the family differs."""
        return targets.num_pos

    def box_normaliser(self, weight: Tensor, targets: Targets) -> Tensor | float:
        """|S| of the regression branch, a scalar: the positives, unless the family differs."""
        return targets.num_pos

    @staticmethod
    def mean_over_processes(count: Tensor | float, like: Tensor) -> Tensor:
        """A count, a scalar, averaged over a distributed run's processes, as mmdet's losses do."""
        return reduce_mean(torch.as_tensor(count, dtype=torch.float32, device=like.device))


@contextmanager
def record_calls(obj: Any, method: str) -> Iterator[list[Any]]:
    """Collect what ``obj.method`` returns, call by call, while the block runs.

    The class stays untouched; of a module, ``forward`` can be recorded too.
    """
    returned: list[Any] = []
    original, shadowed = getattr(obj, method), method in vars(obj)

    def record(*args: Any, **kwargs: Any) -> Any:
        returned.append(original(*args, **kwargs))
        return returned[-1]

    object.__setattr__(obj, method, record)
    try:
        yield returned
    finally:
        if shadowed:
            object.__setattr__(obj, method, original)
        else:
            object.__delattr__(obj, method)


def total(value: Tensor | Sequence[Tensor]) -> Tensor:
    """One number of a loss that mmdet may give level by level."""
    return value if isinstance(value, Tensor) else torch.stack(list(value)).sum()
