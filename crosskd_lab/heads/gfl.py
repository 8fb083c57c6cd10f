"""GFL (Li et al. 2020): one prior a location, boxes as a distribution over bins of each edge."""

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import reduce_mean
from torch import Tensor

from ..losses import distribution_kl
from .base import HeadDefaults, Levels, Predictions, Targets
from .dense import HeadAdapter


class QualityAdapter(HeadAdapter):
    """A joint score of class and localisation quality (GFL, VFNet, RTMDet)."""

    def soft_labels(self, predictions: Predictions, targets: Targets) -> Tensor:
        """The quality label ``(N, P, K)``: the predicted box's IoU with its object."""
        one_hot = super().soft_labels(predictions, targets)  # (N, P, K)
        boxes = self.decode(predictions.reg).detach()  # (N, P, 4)
        overlap = bbox_overlaps(boxes, targets.boxes, is_aligned=True)  # (N, P)
        return one_hot * overlap.clamp(0, 1)[..., None]


class GFLAdapter(QualityAdapter):
    """Towers of ``GFLHead``; regression distils by KL over the edges' bins."""

    defaults = HeadDefaults(layer=3, cls_weight=1.0, reg_weight=4.0)

    def predict_cls(self, level: int, feature: Tensor) -> Tensor:
        """Joint class and quality logits ``(N, K, H, W)``."""
        return self.head.gfl_cls(feature)

    def predict_reg(self, level: int, feature: Tensor) -> Tensor:
        """Edge-bin logits ``(N, 4 * (reg_max + 1), H, W)``."""
        return self.head.scales[level](self.head.gfl_reg(feature)).float()

    def edge_bins(self, reg: Levels) -> Tensor:
        """Edge-bin logits ``(N, P, 4, reg_max + 1)``, edges left, top, right, bottom."""
        return self.flat(reg, 4 * (self.head.reg_max + 1)).unflatten(-1, (4, -1))

    def box_distance(self, reg: Levels, teacher_reg: Levels) -> Tensor:
        """Mean over the four edges of KL(teacher || student), ``(N, P)``."""
        return distribution_kl(self.edge_bins(reg), self.edge_bins(teacher_reg)).mean(-1)

    def box_normaliser(self, weight: Tensor, targets: Targets) -> Tensor | float:
        """The sum of the weights ``(N, P)``: the authors' code divides by the teacher's confidence.

        It is averaged over processes (there, each divides by its own), so that a batch spread over
        processes gives the gradient that it gives in one.
        """
        return reduce_mean(weight.sum())

    def decode(self, reg: Levels) -> Tensor:
        """Boxes ``(N, P, 4)``: expectation of the bins, in strides, around each prior's centre."""
        bins = self.edge_bins(reg)  # (N, P, 4, reg_max + 1)
        values = torch.arange(bins.size(-1), dtype=bins.dtype, device=bins.device)
        distance = bins.softmax(-1) @ values  # (N, P, 4)
        return self.boxes_around(distance, reg, in_strides=True)
