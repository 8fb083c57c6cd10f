"""TOOD (Feng et al. 2021): one tower for both tasks, of which each predictor reads all layers."""

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.utils import sigmoid_geometric_mean
from mmdet.structures.bbox import distance2bbox
from mmengine import MessageHub
from torch import Tensor

from .base import HeadDefaults, Levels, Predictions, Targets
from .dense import HeadAdapter


class TOODAdapter(HeadAdapter):
    """The tower of ``TOODHead``, distilled as ATSS is (no published recipe exists).

    Task decomposition weighs the outputs of *all* hidden convs, so what the layers after i need is
    more than the i-th output: here f_i is what conv 1 ... i gave, side by side, ``(N, i * C, H,
    W)``, aligned channel by channel like any other. It serves both branches. Heads of plain towers
    meet it at i = 0 and i = 1, or through ``align="conv"``.

    Scores are probabilities, boxes xyxy in strides. The targets are those of the assigner that the
    epoch asks for: ATSS's before ``train_cfg.initial_epoch``, the task-aligned one from then on.
    Runs that count steps, not epochs, stay at epoch 0: set ``initial_epoch=0`` in them.
    """

    defaults = HeadDefaults(layer=5)
    one_tower = True

    def tower(self, branch: str, level: int) -> Any:
        """The convs that both tasks share."""
        return self.head.inter_convs

    def channels(self, branch: str, i: int) -> int:
        """Channels of f_i: those of i layers."""
        return super().channels(branch, i) * max(i, 1)

    def _climb(
        self, branch: str, level: int, feature: Tensor, tap: str
    ) -> tuple[list[Tensor], Tensor]:
        reached, last = super()._climb(branch, level, feature, tap)
        if tap == "post_relu":
            layers = reached[1:]
        else:
            layers = [self.rectify(before) for before in reached[1:]]
        # (N, i * C, H, W) for i = 1 ... depth
        stacks = [torch.cat([*layers[:i], at], 1) for i, at in enumerate(reached[1:])]
        return [feature, *stacks], torch.cat(layers, 1)

    def forward_from(self, branch: str, features: Levels, i: int) -> Levels:
        """Run hidden convs i+1 ... depth, and put their outputs beside those given."""
        self.check_layer(i)
        out = []
        for level, feature in enumerate(features):
            layers = list(feature.chunk(i, 1)) if i else []
            for conv in self.tower(branch, level)[i:]:
                feature = conv(layers[-1] if layers else feature)
                layers.append(feature)
            out.append(torch.cat(layers, 1))
        return tuple(out)

    def predict_cls(self, level: int, feature: Tensor) -> Tensor:
        """Class probabilities ``(N, K, H, W)``, aligned with the boxes."""
        logits = self.head.tood_cls(self.head.cls_decomp(feature, _pooled(feature)))  # (N, K, H, W)
        return sigmoid_geometric_mean(logits, self.head.cls_prob_module(feature))

    def predict_reg(self, level: int, feature: Tensor) -> Tensor:
        """Boxes ``(N, 4, H, W)`` xyxy in strides, those of the neighbours that offsets point to."""
        head = self.head
        reg = head.tood_reg(head.reg_decomp(feature, _pooled(feature)))  # (N, 4, H, W)
        boxes = self._boxes(level, reg).contiguous()
        moved = head.deform_sampling(boxes, head.reg_offset_module(feature).contiguous())
        turned = (moved[:, :2] > moved[:, 2:]).any(1, keepdim=True)  # (N, 1, H, W)
        return torch.where(turned, boxes, moved)

    def _boxes(self, level: int, reg: Tensor) -> Tensor:
        """Boxes ``(N, 4, H, W)`` xyxy in strides, before they look at their neighbours."""
        head, (images, _, height, width) = self.head, reg.shape
        stride = head.prior_generator.strides[level][0]
        anchors = head.prior_generator.single_level_grid_priors(
            (height, width), level, device=reg.device
        ).repeat(images, 1)
        free = head.anchor_type == "anchor_free"
        codes = head.scales[level](reg.exp() if free else reg).float()
        codes = codes.permute(0, 2, 3, 1).reshape(-1, 4)  # (N * H * W, 4)
        if free:
            boxes = distance2bbox(head.anchor_center(anchors) / stride, codes)
        else:
            boxes = head.bbox_coder.decode(anchors, codes) / stride
        return boxes.view(images, height, width, 4).permute(0, 3, 1, 2)

    def flat_cls(self, predictions: Predictions) -> Tensor:
        """Log-odds of the class probabilities, ``(N, P, K)``."""
        return self.flat(predictions.cls, self.num_classes).logit(eps=1e-6)

    def detection_losses(
        self,
        predictions: Predictions,
        gt_instances: list[Any],
        metas: list[dict],
        ignored: list[Any] | None = None,
    ) -> tuple[dict[str, Any], Targets]:
        """The head's own; outside of a run it is epoch 0."""
        hub = MessageHub.get_current_instance()
        if hub.get_info("epoch") is None:
            hub.update_info("epoch", 0)
        return super().detection_losses(predictions, gt_instances, metas, ignored)

    def read_targets(self, assigner_output: Any, predictions: Predictions) -> Targets:
        """The result of the epoch's assigner; its box targets are xyxy pixels already."""
        _, labels, label_weights, boxes, metrics = assigner_output
        aligned = self.head.epoch >= self.head.initial_epoch
        quality = torch.cat(metrics, 1).detach() if aligned else None  # (N, P)
        return self.targets(predictions, labels, label_weights, boxes, quality=quality)

    def decode(self, reg: Levels) -> Tensor:
        """The boxes in pixels."""
        return self.flat(reg, 4) * self.stride_of_priors(reg)[:, None]


def _pooled(feature: Tensor) -> Tensor:
    """``(N, C, 1, 1)``."""
    return F.adaptive_avg_pool2d(feature, (1, 1))
