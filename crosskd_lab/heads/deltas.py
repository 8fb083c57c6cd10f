"""What anchor heads share that code boxes as deltas from their anchors (RetinaNet, ATSS, ...)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..losses import giou_distance
from .base import HeadAdapter
from .tensors import Levels, Predictions, Targets


class DeltaAdapter(HeadAdapter):
    """Anchors of any number a location; boxes as the head's own ``bbox_coder`` has them."""

    def targets(
        self,
        predictions: Predictions,
        labels: Sequence[Tensor],
        label_weights: Sequence[Tensor],
        boxes: Sequence[Tensor],
        num_pos: float,
    ) -> Targets:
        """Targets from mmdet's per-level ``(N, P_l)`` labels, weights and ``(N, P_l, 4)`` boxes."""
        found = Targets(
            labels=torch.cat(tuple(labels), 1),
            label_weights=torch.cat(tuple(label_weights), 1),
            boxes=torch.cat(tuple(boxes), 1),
            num_pos=num_pos,
            num_classes=self.head.num_classes,
            centres=self.centres(predictions.cls),
        )
        if not self.head.reg_decoded_bbox:
            decoded = self.from_deltas(found.boxes, predictions.reg)
            found.boxes.copy_(decoded * found.positive[..., None])
        return found

    def from_deltas(self, deltas: Tensor, levels: Levels) -> Tensor:
        """Boxes ``(N, P, 4)`` xyxy in input pixels from deltas ``(N, P, 4)``."""
        anchors = self.priors(levels).expand(deltas.size(0), -1, -1)
        coder = self.head.bbox_coder
        return coder.decode(anchors.flatten(0, 1), deltas.flatten(0, 1)).view_as(deltas)

    def decode(self, reg: Levels, metas: list[dict]) -> Tensor:
        """Deltas applied to the anchors, not clipped to the image."""
        return self.from_deltas(self.flat(reg, 4), reg)

    def box_distance(self, reg: Levels, teacher_reg: Levels, metas: list[dict]) -> Tensor:
        """1 - GIoU of the decoded boxes, ``(N, P)``."""
        return giou_distance(self.decode(reg, metas), self.decode(teacher_reg, metas))
