"""The RoI head of two-stage detectors (Faster R-CNN, Ren et al. 2015) as a head of layers.

f_0 is the feature that RoIAlign pools for a RoI, f_i the output of the i-th shared fully connected
layer. Places are the RoIs that the *student* proposed and sampled; the teacher's head looks at the
same ones. A vector is kept as a map of one cell, ``(R, C, 1, 1)``, so that cross-head delivery and
its alignments need not know what kind of layer they stand between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mmdet.structures.bbox import bbox2roi
from mmdet.utils import reduce_mean
from torch import Tensor, nn

from ..errors import LabError
from ..losses import distribution_kl
from .base import (
    BRANCHES,
    HeadDefaults,
    HeadFamily,
    HeadTaps,
    Levels,
    Predictions,
    Targets,
    record_calls,
)

TEMPERATURE = 3.0  # of the classification term, as in the authors' branch


@dataclass(frozen=True)
class RoITaps(HeadTaps):
    """Taps whose towers hold one "level": all RoIs of the batch, ``(R, C, H, W)``.

    ``rois`` ``(R, 5)`` are image index and xyxy in input pixels; no gradient.
    """

    rois: Tensor


class RoIAdapter(HeadFamily):
    """Reads a ``FasterRCNN``'s head: shared fully connected layers and a softmax over classes.

    Both branches share their hidden layers, so ``towers["cls"]`` and ``towers["reg"]`` are one.
    The authors deliver the RoI feature (i = 0) and align nothing. LabError for another RoI head.
    """

    family = "roi"
    defaults: ClassVar[HeadDefaults] = HeadDefaults(
        layer=0, cls_weight=0.5, reg_weight=1.0, align="none"
    )
    hidden = "shared fully connected layers"
    anchors = 1

    def __init__(self, detector: Any) -> None:
        self.roi_head, self.head = detector.roi_head, detector.roi_head.bbox_head
        name = type(self.head).__name__
        if name != "Shared2FCBBoxHead":
            raise LabError(
                f"{name} is no Shared2FCBBoxHead, whose layers are all shared and fully connected: "
                "write an adapter for it after crosskd_lab/heads/roi.py"
            )
        if self.head.loss_cls.use_sigmoid or self.head.custom_cls_channels:
            raise LabError(
                f"{name} does not score classes by softmax: set use_sigmoid=False in its loss_cls"
            )

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels between neighbouring cells of the levels that RoIs are pooled from."""
        return tuple(self.roi_head.bbox_roi_extractor.featmap_strides)

    @property
    def depth(self) -> int:
        """Number of shared fully connected layers."""
        return len(self.head.shared_fcs)

    def channels(self, branch: str, i: int) -> int:
        """Channels of the RoI feature (i = 0), or units of layer i."""
        self.check_layer(i)
        return int(self.head.shared_fcs[i - 1].out_features if i else self.head.in_channels)

    @property
    def num_classes(self) -> int:
        """K; the softmax has one entry more, the background."""
        return int(self.head.num_classes)

    @property
    def least_confidence(self) -> float:
        """A fifth above chance: an untrained softmax gives every class 1 / (K + 1)."""
        return 1.2 / (self.num_classes + 1)

    # --- one step -------------------------------------------------------------------------------
    def student_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str
    ) -> tuple[RoITaps, dict[str, Any], Targets]:
        """Stock's own step, recorded: its proposals, its sampler, its losses."""
        with (
            record_calls(detector, "extract_feat") as necks,
            record_calls(self.roi_head.bbox_sampler, "sample") as samples,
            record_calls(self.roi_head, "_bbox_forward") as forwards,
            record_calls(self.head, "get_targets") as targets,
        ):
            losses = detector.loss(inputs, data_samples)
        rois = bbox2roi([sampled.priors for sampled in samples]).detach()  # (R, 5)
        walked = self.forward_towers(necks[0], rois, forwards[0]["bbox_feats"])
        return walked, losses, self.read_targets(samples, targets[0])

    def teacher_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str, student: HeadTaps
    ) -> RoITaps:
        """The teacher's features at the student's RoIs, through the teacher's layers."""
        assert isinstance(student, RoITaps)
        neck, pool = detector.extract_feat(inputs), self.roi_head.bbox_roi_extractor
        return self.forward_towers(neck, student.rois, pool(neck[: pool.num_inputs], student.rois))

    def forward_towers(self, neck: Levels, rois: Tensor, pooled: Tensor) -> RoITaps:
        """Every f_i and the predictions, from the pooled features; equals the head's ``forward``.

        ``neck`` is ``(N, C, H, W)`` a level, ``rois`` ``(R, 5)``, ``pooled`` RoIAlign's ``(R, C, 7,
        7)``; f_i (i >= 1) is read after the activation.
        """
        reached, feature = [pooled], pooled.flatten(1)  # (R, 49 * C)
        for layer in self.head.shared_fcs:
            feature = self.head.relu(layer(feature))  # (R, units)
            reached.append(_as_map(feature))
        tower = tuple((f,) for f in reached)
        last: dict[str, Levels] = {branch: (_as_map(feature),) for branch in BRANCHES}
        return RoITaps(tuple(neck), dict.fromkeys(BRANCHES, tower), self.predict(last), rois)

    def forward_from(self, branch: str, features: Levels, i: int) -> Levels:
        """Run fully connected layers i+1 ... depth on ``(R, C, H, W)`` that stands for f_i."""
        self.check_layer(i)
        feature = features[0].flatten(1)
        layers: Sequence[nn.Module] = self.head.shared_fcs[i:]
        for layer in layers:
            feature = self.head.relu(layer(feature))
        return (_as_map(feature),)

    def predict(self, last: dict[str, Levels]) -> Predictions:
        """Logits ``(R, K + 1)``, background last, and deltas ``(R, 4 K)`` or ``(R, 4)``."""
        return Predictions(
            cls=tuple(self.head.fc_cls(f.flatten(1)) for f in last.get("cls", ())),
            reg=tuple(self.head.fc_reg(f.flatten(1)) for f in last.get("reg", ())),
        )

    def read_targets(self, samples: Sequence[Any], assigner_output: Any) -> Targets:
        """The sampler's decision as one row of R places; ``num_pos`` is what stock divides by."""
        labels, weights, _, _ = assigner_output
        boxes = labels.new_zeros((len(labels), 4), dtype=weights.dtype)
        begin, count = 0, 0
        for sampled in samples:
            found = len(sampled.pos_gt_bboxes)
            boxes[begin : begin + found] = sampled.pos_gt_bboxes
            begin += len(sampled.priors)
            count += max(len(sampled.priors), 1)
        return Targets(labels[None], weights[None], boxes[None], float(count), self.num_classes)

    # --- what eq. (2) needs ---------------------------------------------------------------------
    def flat_cls(self, predictions: Predictions) -> Tensor:
        """Log-odds of every foreground class, ``(1, R, K)``: their sigmoid is the softmax."""
        return predictions.cls[0].float().softmax(-1)[None, :, :-1].logit(eps=1e-6)

    def cls_distance(self, prediction: Predictions, target: Predictions) -> Tensor:
        """``T^2 * KL`` of the softmax over K + 1 classes at T = 3, ``(1, R)``."""
        return distribution_kl(prediction.cls[0], target.cls[0], TEMPERATURE)[None]

    def reg_distance(
        self, prediction: Predictions, target: Predictions, metas: list[dict]
    ) -> Tensor:
        """Mean |difference| of the deltas of the teacher's best foreground class, ``(1, R)``."""
        ours, theirs = prediction.reg[0].float(), target.reg[0].detach().float()
        gap = (ours - theirs).abs().unflatten(1, (-1, 4)).mean(-1)  # (R, K) or (R, 1)
        best = target.cls[0][:, :-1].argmax(-1, keepdim=True)  # (R, 1)
        return (gap.gather(1, best) if gap.size(1) > 1 else gap)[None, :, 0]

    def box_normaliser(self, weight: Tensor, targets: Targets) -> Tensor:
        """The sum of S(r): a weighted mean over RoIs; averaged over processes."""
        return reduce_mean(weight.sum())


def _as_map(vectors: Tensor) -> Tensor:
    """``(R, C)`` as ``(R, C, 1, 1)``."""
    return vectors[..., None, None]
