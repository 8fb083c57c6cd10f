"""How the lab reads a dense head: its towers, its own losses and targets, its box coding.

A head family adds one small file with only what differs: the names of its last convs, its box
coding, its targets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import torch
from mmdet.models.utils import unpack_gt_instances
from torch import Tensor

from ..losses import full_precision, kd_quality_focal
from .overhear import overhear
from .tensors import HeadTaps, Levels, Predictions, Targets
from .walk import TowerHead

DetectionLosses = Callable[
    [Predictions, list[Any], list[dict], list[Any] | None], tuple[dict[str, Any], Targets]
]


class HeadAdapter(TowerHead):
    """Reads one dense head. Subclasses say only what their family does differently.

    Args:
        head: A dense head of mmdet. It is never changed.

    Raises:
        LabError: where the head is built in a way that the walk cannot reproduce.
    """

    assigns: ClassVar[str] = "get_targets"  # the head's method that runs the assigner
    fast: DetectionLosses | None = None
    """The fast form of :meth:`detection_losses`, where the engine has put one."""

    # --- one step ------------------------------------------------------------------------------
    def student_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str
    ) -> tuple[HeadTaps, dict[str, Any], Targets]:
        """Walk once; the detection loss is the head's own, on those predictions."""
        walked = self.walk(detector.extract_feat(inputs), tap)
        truths, ignored, metas = unpack_gt_instances(data_samples)
        detect = self.fast or self.detection_losses
        return walked, *detect(walked.predictions, truths, metas, ignored)

    def teacher_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str, student: HeadTaps
    ) -> HeadTaps:
        """Walk once."""
        return self.walk(detector.extract_feat(inputs), tap)

    # --- the head's own losses and targets ----------------------------------------------------
    def detection_losses(
        self,
        predictions: Predictions,
        gt_instances: list[Any],
        metas: list[dict],
        ignored: list[Any] | None = None,
    ) -> tuple[dict[str, Any], Targets]:
        """The head's own ``loss_by_feat`` and the targets that its assigner made on the way.

        The assigner runs once: its result is overheard, not asked for again.

        Args:
            predictions: The student's.
            gt_instances: Per image, ``bboxes`` ``(G, 4)`` and ``labels`` ``(G,)``.
            metas: Per image.
            ignored: Per image None or ``bboxes`` (crowds) on which assigners with an
                ``ignore_iof_thr`` above 0 leave priors out; None where no image has any.
        """
        # mmdet's losses write float32 overlaps into tensors of the scores' kind
        outputs = ([full_precision(m) for m in maps] for maps in self.outputs(predictions))
        device = predictions.cls[0].device.type
        with overhear(self.head, self.assigns) as heard, torch.autocast(device, enabled=False):
            losses = self.head.loss_by_feat(*outputs, gt_instances, metas, ignored)
        return losses, self.read_targets(heard[0], predictions, metas)

    def outputs(self, predictions: Predictions) -> list[Levels]:
        """What ``head.forward`` gives in training and ``loss_by_feat`` takes, in its order."""
        beside = () if predictions.centerness is None else (predictions.centerness,)
        return [predictions.cls, predictions.reg, *beside]

    def counted(self, targets: Targets) -> Targets:
        """Targets with the number of their positives: averaged over processes, at least 1."""
        count = self.mean_over_processes(targets.positive.sum(), targets.boxes)
        return replace(targets, num_pos=count.clamp(min=1))

    def read_targets(self, heard: Any, predictions: Predictions, metas: list[dict]) -> Targets:
        """Turn what ``head.get_targets`` returned into :class:`Targets`."""
        raise NotImplementedError

    def soft_labels(self, predictions: Predictions, targets: Targets, metas: list[dict]) -> Tensor:
        """The classification target p^gt at every prior, ``(N, P, K)`` in [0, 1].

        One-hot at positives; heads that score localisation quality put the IoU there instead.
        """
        value = targets.positive.float() if targets.quality is None else targets.quality
        return self.one_hot(targets) * value[..., None]

    def one_hot(self, targets: Targets) -> Tensor:
        """Whether each class is that of the prior, ``(N, P, K)`` bool."""
        classes = torch.arange(self.num_classes, device=targets.labels.device)
        return targets.labels[..., None] == classes  # F.one_hot looks into the labels, and waits

    # --- flat views and distances ---------------------------------------------------------------
    @property
    def num_classes(self) -> int:
        """K, the length of a location's class vector (sigmoid heads: no background entry)."""
        return int(self.head.cls_out_channels)

    def flat_cls(self, predictions: Predictions) -> Tensor:
        """Class logits ``(N, P, K)``."""
        return self.flat(predictions.cls, self.num_classes)

    def cls_distance(self, said: Predictions, target: Predictions, beta: float | None) -> Tensor:
        """Quality focal loss towards the teacher's scores (sec. 3.3), ``(N, P)``."""
        soft_label = self.flat_cls(target).sigmoid()
        beta = self.recipe.beta if beta is None else beta
        return kd_quality_focal(self.flat_cls(said), soft_label, beta)

    def reg_distance(self, said: Predictions, target: Predictions, metas: list[dict]) -> Tensor:
        """:meth:`box_distance` of what both say, ``(N, P)``."""
        return self.box_distance(said.reg, target.reg, metas)

    def box_distance(self, reg: Levels, teacher_reg: Levels, metas: list[dict]) -> Tensor:
        """D_pred of the regression branch per prior, ``(N, P)``, in this head's box coding."""
        raise NotImplementedError

    def decode(self, reg: Levels, metas: list[dict]) -> Tensor:
        """Boxes ``(N, P, 4)``, xyxy in input pixels, not clipped to the image."""
        raise NotImplementedError
