"""FCOS (Tian et al. 2019): points instead of anchors, boxes as distances to the four edges."""

from typing import Any

import torch
from mmdet.utils import reduce_mean
from torch import Tensor

from ..losses import log_iou_distance
from .base import HeadDefaults, Levels, Predictions, Targets
from .dense import HeadAdapter, by_image


class FCOSAdapter(HeadAdapter):
    """Towers of ``FCOSHead``; regression distils by -ln IoU.

    The head gives distances in strides while training and in pixels while evaluating, where
    ``norm_on_bbox`` is set; read through this adapter they are in strides always, so that a
    teacher in evaluation mode and a student in training speak of the same unit.

    Both KD terms are divided by M, the sum of the student's centerness targets. Centerness is
    predicted but not distilled, as in the authors' code.
    """

    defaults = HeadDefaults(layer=2, cls_weight=0.4, reg_weight=0.75, neck_weight=2.0)

    def predict_cls(self, level: int, feature: Tensor) -> Tensor:
        """Class logits ``(N, K, H, W)``."""
        return self.head.conv_cls(feature)

    def predict_reg(self, level: int, feature: Tensor) -> Tensor:
        """Distances to left, top, right and bottom, ``(N, 4, H, W)`` >= 0."""
        reg = self.head.scales[level](self.head.conv_reg(feature)).float()
        return reg.clamp(min=0) if self.head.norm_on_bbox else reg.exp()

    def predict_centerness(self, last: dict[str, Levels]) -> Levels | None:
        """Centerness logits ``(N, 1, H, W)`` from the tower that the head reads them from."""
        branch = "reg" if self.head.centerness_on_reg else "cls"
        if branch not in last:
            return None
        return tuple(self.head.conv_centerness(feature) for feature in last[branch])

    def read_targets(self, assigner_output: Any, predictions: Predictions) -> Targets:
        """FCOS's ``(N, P)`` targets, of distances; mmdet gives a level for all images at once."""
        labels, edges = assigner_output
        images = predictions.cls[0].size(0)
        flat_labels, flat_edges = by_image(labels, images), by_image(edges, images)
        positive = (flat_labels >= 0) & (flat_labels < self.head.num_classes)  # (N, P)
        boxes = self._boxes(flat_edges, predictions.reg) * positive[..., None]  # (N, P, 4)
        ones = torch.ones_like(boxes[..., 0])  # (N, P)
        return self.targets(predictions, [flat_labels], [ones], [boxes])

    def cls_normaliser(self, targets: Targets) -> Tensor:
        """M, a scalar: the sum of the student's centerness targets, averaged over processes.

        1 where it is 0: with the authors' 1e-6 the background of a batch without objects would give
        losses of 1e7.
        """
        whole = reduce_mean(targets.centerness.sum())
        return torch.where(whole > 0, whole, 1.0)

    def box_normaliser(self, weight: Tensor, targets: Targets) -> Tensor:
        """M, a scalar, as for classification."""
        return self.cls_normaliser(targets)

    def decode(self, reg: Levels) -> Tensor:
        """Boxes ``(N, P, 4)``: the points moved by the predicted distances."""
        return self._boxes(self.flat(reg, 4), reg)

    def box_distance(self, reg: Levels, teacher_reg: Levels) -> Tensor:
        """-ln IoU of the decoded boxes, ``(N, P)``."""
        return log_iou_distance(self.decode(reg), self.decode(teacher_reg))

    def _boxes(self, edges: Tensor, levels: Levels) -> Tensor:
        return self.boxes_around(edges, levels, in_strides=self.head.norm_on_bbox)
