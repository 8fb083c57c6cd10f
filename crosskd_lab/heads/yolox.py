"""YOLOX (Ge et al. 2021): towers of each level's own; a score is class times objectness."""

import warnings
from typing import Any

import torch
from torch import Tensor

from ..errors import LabError
from .base import HeadDefaults, Levels, Predictions, Targets, record_calls
from .dense import HeadAdapter

# mmdet 3.3's SimOTA switches autocast off by its older name, at every step.
warnings.filterwarnings("ignore", message=r"`torch\.cuda\.amp\.autocast", category=FutureWarning)


class YOLOXAdapter(HeadAdapter):
    """Towers of ``YOLOXHead``, distilled as ATSS is (no published recipe exists).

    Its towers have two hidden convs, so i = 1 is where i = 3 is of four. Boxes are offsets of the
    centre and logarithms of the extent, both in strides.

    The detection loss teaches classes at positives alone: of background only objectness speaks, and
    what the class logits say there means nothing. So what is distilled is the *joint* score
    ``sigma(class) * sigma(objectness)`` that evaluation ranks by, as log-odds through the quality
    focal loss. Where the objectness is nothing, the class logits have next to no gradient; the
    objectness answers at every location, as the score's other factor, and has no term of its own.
    S(r) is the joint score too. The objectness is read from the box tower, so the class branch is
    not distilled without the box branch.

    The targets are those of SimOTA, which looks at the student's predictions; the score of a
    positive shall be its box's IoU.
    """

    defaults = HeadDefaults(layer=1)

    def tower(self, branch: str, level: int) -> Any:
        """The level's own layers."""
        towers = self.head.multi_level_cls_convs, self.head.multi_level_reg_convs
        return towers[branch == "reg"][level]

    def predict_branches(self, last: dict[str, Levels]) -> Any:
        """Class logits and boxes; LabError for classes without the tower that objectness is in."""
        if "reg" not in last:
            raise LabError(
                "YOLOXHead's score is class times objectness, which it reads from the box tower: "
                'distil both branches, or branches=("reg",)'
            )
        return super().predict_branches(last)

    def predict_cls(self, level: int, feature: Tensor) -> Tensor:
        """Logits ``(N, K, H, W)`` of the classes, given an object."""
        return self.head.multi_level_conv_cls[level](feature)

    def predict_reg(self, level: int, feature: Tensor) -> Tensor:
        """The centre's offset x, y and the logarithms of width and height, ``(N, 4, H, W)``."""
        return self.head.multi_level_conv_reg[level](feature)

    def predict_centerness(self, last: dict[str, Levels]) -> Levels | None:
        """Objectness logits ``(N, 1, H, W)``, read from the box tower."""
        predictors = self.head.multi_level_conv_obj
        return tuple(predictors[level](feature) for level, feature in enumerate(last["reg"]))

    def flat_cls(self, predictions: Predictions) -> Tensor:
        """Log-odds ``(N, P, K)`` of the joint score.

        ``1 / s - 1 = (1 + e^-c) (1 + e^-o) - 1 = e^-c + e^-o + e^(-c-o)``, which neither over- nor
        underflows as a sum of exponents.
        """
        assert predictions.centerness is not None
        classes = self.flat(predictions.cls, self.num_classes)  # (N, P, K)
        objectness = self.flat(predictions.centerness, 1).expand_as(classes)  # (N, P, K)
        against = torch.stack([-classes, -objectness, -classes - objectness])
        return -against.logsumexp(0)

    def detection_losses(
        self,
        predictions: Predictions,
        gt_instances: list[Any],
        metas: list[dict],
        ignored: list[Any] | None = None,
    ) -> tuple[dict[str, Any], Targets]:
        """The head's own losses, and its assigner's choice, image by image."""
        with record_calls(self.head.assigner, "assign") as chosen:
            losses = self.own_losses(predictions, gt_instances, metas, ignored)
        prior = self.centres(predictions.cls)  # (P, 2)
        shape = len(gt_instances), len(prior)
        labels = prior.new_full(shape, self.head.num_classes, dtype=torch.long)
        boxes, quality = prior.new_zeros(*shape, 4), prior.new_zeros(shape)
        with_objects = (image for image, truth in enumerate(gt_instances) if len(truth))
        for image, found in zip(with_objects, chosen, strict=True):  # of others it is not asked
            at = found.gt_inds > 0
            labels[image, at] = found.labels[at]
            boxes[image, at] = gt_instances[image].bboxes[found.gt_inds[at] - 1].to(boxes)
            quality[image, at] = found.max_overlaps[at].to(quality)
        seen = torch.ones_like(quality)
        return losses, self.targets(predictions, [labels], [seen], [boxes], quality=quality)

    def decode(self, reg: Levels) -> Tensor:
        """The head's own decoding, around points on multiples of the stride."""
        stride = self.stride_of_priors(reg)[:, None]  # (P, 1)
        priors = torch.cat([self.centres(reg), stride, stride], 1)
        return self.head._bbox_decode(priors, self.flat(reg, 4))
