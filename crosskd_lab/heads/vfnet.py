"""VFNet (Zhang et al. 2021): a first box says where to look for the class and the second box."""

from typing import Any

import torch
from torch import Tensor

from ..errors import LabError
from ..losses import giou_distance
from .base import HeadDefaults, Levels, Predictions, Targets
from .dense import by_image, of_sizes
from .gfl import QualityAdapter


class VFNetAdapter(QualityAdapter):
    """Towers of ``VFNetHead``, distilled as ATSS is (no published recipe exists).

    Its towers have three hidden convs, so i = 2 is where i = 3 is of four; the star-shaped
    convolutions at the first box belong to the predictor C_n. Both boxes are distilled. Their
    distances to left, top, right and bottom are in pixels and stand in ``reg`` one after the
    other, ``(N, 8, H, W)``; only the second is decoded.
    """

    defaults = HeadDefaults(layer=2)

    def predict_branches(self, last: dict[str, Levels]) -> tuple[list[Tensor], list[Tensor]]:
        """Joint class and quality logits ``(N, K, H, W)``, and both boxes."""
        if "reg" not in last:
            raise LabError(
                "VFNetHead looks for the class at the box that it predicts: distil both branches, "
                'or branches=("reg",)'
            )
        boxes, stars = [], []
        for level, feature in enumerate(last["reg"]):
            both, star = self._boxes(level, feature)
            boxes.append(both)
            stars.append(star)
        cls = zip(last["cls"], stars, strict=True) if "cls" in last else ()
        head = self.head
        return [head.vfnet_cls(head.relu(head.vfnet_cls_dconv(f, at))) for f, at in cls], boxes

    def _boxes(self, level: int, feature: Tensor) -> tuple[Tensor, Tensor]:
        """First and second box ``(N, 8, H, W)``, and the offsets of the nine points between."""
        head, stride = self.head, self.head.strides[level]
        unit = stride if head.bbox_norm_type == "stride" else head.reg_denoms[level]
        first = head.scales[level](head.vfnet_reg(head.vfnet_reg_conv(feature))).float().exp()
        first = first * unit  # (N, 4, H, W)
        head.dcn_base_offset = head.dcn_base_offset.to(first.device)  # stock would at every step
        star = head.star_dcn_offset(first, head.gradient_mul, stride)  # (N, 18, H, W)
        star = star.to(feature.dtype)
        seen = head.relu(head.vfnet_reg_refine_dconv(feature, star))
        factor = head.scales_refine[level](head.vfnet_reg_refine(seen)).float().exp()
        return torch.cat([first, factor * first.detach()], 1), star

    def outputs(self, predictions: Predictions) -> list[Levels]:
        """Scores, first boxes and second boxes."""
        return [predictions.cls, *_both(predictions.reg)]

    def read_targets(self, assigner_output: Any, predictions: Predictions) -> Targets:
        """ATSS's assigner result (or FCOS's); mmdet gives each level for all images at once."""
        labels, label_weights, edges, _ = assigner_output
        images = predictions.cls[0].size(0)
        flat_labels = by_image(labels, images)  # (N, P)
        weights = torch.ones_like(flat_labels, dtype=torch.float32)
        if label_weights is not None:
            weights = by_image(label_weights.split([len(level) for level in labels]), images)
        boxes = self.boxes_around(by_image(edges, images), predictions.reg, in_strides=False)
        positive = (flat_labels >= 0) & (flat_labels < self.head.num_classes)  # (N, P)
        boxes = boxes * positive[..., None]  # (N, P, 4)
        return self.targets(predictions, [flat_labels], [weights], [boxes])

    @of_sizes
    def assigned(self, levels: Levels) -> Tensor:
        """The anchors ``(P, 4)`` that ATSS puts at the points."""
        sizes = [m.shape[-2:] for m in levels]
        anchors = self.head.atss_prior_generator.grid_priors(sizes, device=levels[0].device)
        return torch.cat(anchors)

    def decode(self, reg: Levels) -> Tensor:
        """The points moved by the second box's distances."""
        return self.boxes(reg)[1]

    def boxes(self, reg: Levels) -> tuple[Tensor, ...]:
        """First and second boxes, ``(N, P, 4)`` each."""
        return tuple(self.boxes_around(self.flat(e, 4), e, in_strides=False) for e in _both(reg))

    def box_distance(self, reg: Levels, teacher_reg: Levels) -> Tensor:
        """1 - GIoU of the decoded boxes, the mean of the first's and the second's, ``(N, P)``."""
        pairs = zip(self.boxes(reg), self.boxes(teacher_reg), strict=True)
        first, second = (giou_distance(ours, theirs) for ours, theirs in pairs)
        return (first + second) / 2


def _both(reg: Levels) -> tuple[Levels, Levels]:
    """First and second boxes' distances, each ``(N, 4, H, W)`` a level."""
    return tuple(m[:, :4] for m in reg), tuple(m[:, 4:] for m in reg)
