"""RetinaNet (Lin et al. 2017): nine anchors a location; the stock towers have no normalisation."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .deltas import DeltaAdapter
from .tensors import Predictions, Recipe, Targets


class RetinaAdapter(DeltaAdapter):
    """Towers of ``RetinaHead``; regression distils by GIoU between decoded boxes."""

    recipe = Recipe(layer=3, cls_weight=1.0, reg_weight=1.0, neck_weight=2.0)

    def predict_cls(self, level: int, feature: Tensor) -> Tensor:
        """Class logits ``(N, A * K, H, W)``."""
        return self.head.retina_cls(feature)

    def predict_reg(self, level: int, feature: Tensor) -> Tensor:
        """Deltas ``(N, A * 4, H, W)``."""
        return self.head.retina_reg(feature)

    def read_targets(self, heard: Any, predictions: Predictions, metas: list[dict]) -> Targets:
        """RetinaNet's assigner result; anchors of middling IoU have weight 0.

        Its own loss divides by the process's number of positives. What is distilled is divided by
        that number's mean over processes, as for the other heads.
        """
        labels, label_weights, boxes, _, num_pos = heard
        num_pos = self.mean_over_processes(num_pos, labels[0])
        return self.targets(predictions, labels, label_weights, boxes, num_pos)
