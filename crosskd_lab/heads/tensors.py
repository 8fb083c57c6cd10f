"""The named tensors that a dense head takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

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

    Attributes:
        neck: FPN outputs, per level ``(N, C, H_l, W_l)``.
        towers: ``towers[branch][i][level]`` is f_i.
        predictions: The head's own predictions.
    """

    neck: Levels
    towers: Towers
    predictions: Predictions

    def at_levels(self, levels: Sequence[int]) -> HeadTaps:
        """The same at some of the levels."""

        def pick(maps: Levels) -> Levels:
            return tuple(maps[level] for level in levels)

        towers = {b: tuple(pick(f) for f in reached) for b, reached in self.towers.items()}
        said = self.predictions
        centerness = None if said.centerness is None else pick(said.centerness)
        return HeadTaps(
            pick(self.neck), towers, Predictions(pick(said.cls), pick(said.reg), centerness)
        )


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

    def at_levels(self, levels: Sequence[int], counts: Sequence[int]) -> Targets:
        """The same at some of the levels; ``num_pos`` stays that of all.

        Args:
            levels: Indices of levels.
            counts: Number of priors of each level.
        """

        def pick(values: Tensor, axis: int) -> Tensor:
            parts = values.split(list(counts), axis)
            return torch.cat([parts[level] for level in levels], axis)

        return replace(
            self,
            labels=pick(self.labels, 1),
            label_weights=pick(self.label_weights, 1),
            boxes=pick(self.boxes, 1),
            centres=None if self.centres is None else pick(self.centres, 0),
            quality=None if self.quality is None else pick(self.quality, 1),
        )

    @property
    def centerness(self) -> Tensor:
        """FCOS's centerness (Tian et al. 2019, eq. 3) of each positive in its box, ``(N, P)``.

        ``sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))``; 0 at background, and at positives
        whose centre lies outside their box.
        """
        assert self.centres is not None
        before = self.centres - self.boxes[..., :2]
        after = self.boxes[..., 2:] - self.centres
        least, most = torch.minimum(before, after), torch.maximum(before, after)
        ratio = least.clamp(min=0) / most.clamp(min=1e-6)
        return ratio.prod(-1).sqrt() * self.positive


@dataclass(frozen=True)
class Recipe:
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
