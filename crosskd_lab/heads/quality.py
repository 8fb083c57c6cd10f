"""What heads share whose class scores are trained to be the IoU of their boxes."""

from __future__ import annotations

from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from .base import HeadAdapter
from .tensors import Predictions, Targets


class QualityAdapter(HeadAdapter):
    """A joint score of class and localisation quality (GFL, VFNet, RTMDet)."""

    def soft_labels(self, predictions: Predictions, targets: Targets, metas: list[dict]) -> Tensor:
        """The quality label: the IoU of the predicted box with its object, at its class."""
        one_hot = super().soft_labels(predictions, targets, metas)
        boxes = self.decode(predictions.reg, metas).detach()
        overlap = bbox_overlaps(boxes, targets.boxes, is_aligned=True)
        return one_hot * overlap.clamp(0, 1)[..., None]
