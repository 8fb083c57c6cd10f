"""RetinaNet (Lin et al. 2017), and what heads share that code boxes as deltas from anchors."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from torch import Tensor

from .base import HeadDefaults, Levels, Predictions, Targets
from .dense import HeadAdapter

MOST_GROWTH = abs(math.log(16 / 1000))  # of a side, as mmdet clips it


def decode(
    anchors: Tensor, deltas: Tensor, means: Sequence[float], stds: Sequence[float]
) -> Tensor:
    """R-CNN's box coding (Girshick et al. 2014): ``(..., 4)`` deltas to xyxy boxes, not clipped.

    As mmdet's coder to the bit; that one sends its means to the GPU each time and waits for it.
    """
    dx, dy, dw, dh = (
        d * std + mean for d, std, mean in zip(deltas.unbind(-1), stds, means, strict=True)
    )
    size = anchors[..., 2:] - anchors[..., :2]  # (..., 2)
    centre = (anchors[..., :2] + anchors[..., 2:]) * 0.5 + size * torch.stack([dx, dy], -1)
    growth = torch.stack([dw, dh], -1).clamp(min=-MOST_GROWTH, max=MOST_GROWTH)
    size = size * growth.exp()
    return torch.cat([centre - size * 0.5, centre + size * 0.5], -1)


def encode(anchors: Tensor, boxes: Tensor, means: Sequence[float], stds: Sequence[float]) -> Tensor:
    """The inverse of :func:`decode`, ``(..., 4)``, as mmdet's coder has it: in float32."""
    anchors, boxes = anchors.float(), boxes.float()
    size, wanted = (box[..., 2:] - box[..., :2] for box in (anchors, boxes))
    centre, aim = ((box[..., :2] + box[..., 2:]) * 0.5 for box in (anchors, boxes))
    deltas = torch.cat([(aim - centre) / size, (wanted / size).log()], -1)
    return torch.stack(
        [(d - mean) / std for d, mean, std in zip(deltas.unbind(-1), means, stds, strict=True)], -1
    )


class DeltaAdapter(HeadAdapter):
    """Anchors of any number a location; boxes as the head's own ``bbox_coder`` has them."""

    def targets(self, predictions: Predictions, *given: Any) -> Targets:
        """As of every head; where the head's loss compares deltas, its targets are decoded."""
        found = super().targets(predictions, *given)
        if not self.head.reg_decoded_bbox:
            decoded = self.from_deltas(found.boxes, predictions.reg)  # (N, P, 4)
            found.boxes.copy_(decoded * found.positive[..., None])
        return found

    def from_deltas(self, deltas: Tensor, levels: Levels) -> Tensor:
        """Boxes ``(N, P, 4)`` xyxy in input pixels from deltas ``(N, P, 4)``."""
        anchors = self.priors(levels).expand(deltas.size(0), -1, -1)  # (N, P, 4)
        coder = self.head.bbox_coder
        if type(coder) is DeltaXYWHBBoxCoder and not coder.add_ctr_clamp:
            return decode(anchors, deltas, coder.means, coder.stds)
        return coder.decode(anchors.flatten(0, 1), deltas.flatten(0, 1)).view_as(deltas)

    def decode(self, reg: Levels) -> Tensor:
        """Boxes ``(N, P, 4)``: deltas applied to the anchors, not clipped to the image."""
        return self.from_deltas(self.flat(reg, 4), reg)


class RetinaAdapter(DeltaAdapter):
    """Towers of ``RetinaHead``; regression distils by GIoU between decoded boxes."""

    defaults = HeadDefaults(layer=3, cls_weight=1.0, reg_weight=1.0, neck_weight=2.0)

    def predict_cls(self, level: int, feature: Tensor) -> Tensor:
        """Class logits ``(N, A * K, H, W)``."""
        return self.head.retina_cls(feature)

    def predict_reg(self, level: int, feature: Tensor) -> Tensor:
        """Deltas ``(N, A * 4, H, W)``."""
        return self.head.retina_reg(feature)

    def read_targets(self, assigner_output: Any, predictions: Predictions) -> Targets:
        """RetinaNet's ``(N, P)`` targets; anchors of middling IoU have weight 0.

        Its own loss divides by the process's number of positives. What is distilled is divided by
        that number's mean over processes, as for the other heads.
        """
        labels, label_weights, boxes, _, num_pos = assigner_output
        return self.targets(predictions, labels, label_weights, boxes, num_pos)
