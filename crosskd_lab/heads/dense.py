"""How the lab reads a dense head: locations, the walk of its towers, its own losses and targets.

A head of a new kind subclasses :class:`HeadAdapter` and says only what it does differently; the
walk equals the head's own forward to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmdet.models.utils import unpack_gt_instances
from torch import Tensor, nn

from ..errors import LabError, one_of
from ..losses import full_precision, giou_distance, kd_quality_focal
from .base import (
    BRANCHES,
    TAPS,
    HeadFamily,
    HeadTaps,
    Levels,
    Predictions,
    Targets,
    Towers,
    record_calls,
)

DetectionLosses = Callable[
    [Predictions, list[Any], list[dict], list[Any] | None], tuple[dict[str, Any], Targets]
]
SIZES_KEPT = 32


def of_sizes(build: Callable[[Any, Levels], Tensor]) -> Callable[[Any, Levels], Tensor]:
    """Keep ``(P, ...)`` that follows from the maps' sizes: made anew, it would wait for the GPU."""

    @wraps(build)
    def kept(self: Any, levels: Levels) -> Tensor:
        sizes = [m.shape[-2:] for m in levels]
        key = (build.__name__, levels[0].device, *sizes)
        if key not in self._kept:
            if len(self._kept) >= SIZES_KEPT:
                self._kept.clear()
            with torch.inference_mode(False):  # a later step may need its gradient
                self._kept[key] = build(self, levels)
        return self._kept[key]

    return kept


def by_image(levels: Sequence[Tensor], images: int) -> Tensor:
    """``(N, P, ...)`` from one ``(N * P_l, ...)`` a level, as point heads of mmdet give targets."""
    return torch.cat([level.view(images, -1, *level.shape[1:]) for level in levels], 1)


class HeadAdapter(HeadFamily):
    """Reads one dense head of mmdet. Subclasses say only what their family does differently.

    Attributes:
        class_order: Where the classes that this adapter speaks of stand among the head's; None if
            they are the head's own. It is how a teacher answers in the student's order.

    LabError where the head is built in a way that the walk cannot reproduce.
    """

    assigns: ClassVar[str] = "get_targets"  # the head's method that runs the assigner
    one_tower: ClassVar[bool] = False  # whether both branches have the same hidden layers
    fast: DetectionLosses | None = None
    """The fast form of :meth:`detection_losses`, where the engine has put one."""

    def __init__(self, head: nn.Module) -> None:
        self.head: Any = head
        self.class_order: list[int] | None = None
        self._kept: dict[Any, Tensor] = {}
        if not getattr(head, "use_sigmoid_cls", True):
            raise LabError(
                f"{type(head).__name__} scores classes by softmax, the lab's losses need sigmoid "
                "scores: set use_sigmoid=True in its loss_cls"
            )
        for branch in BRANCHES:
            for conv in self.tower(branch, 0):
                if getattr(conv, "order", None) != ("conv", "norm", "act"):
                    raise LabError(
                        f"{type(head).__name__}: hidden layer {type(conv).__name__} of "
                        f"the {branch} tower is not a conv-norm-act ConvModule; write an adapter "
                        "for this head"
                    )

    # --- one step ------------------------------------------------------------------------------
    def student_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str
    ) -> tuple[HeadTaps, dict[str, Any], Targets]:
        """Walk once from ``(N, 3, H, W)``; the detection loss is the head's own, on those
        predictions.
        """
        walked = self.forward_towers(detector.extract_feat(inputs), tap)
        truths, ignored, metas = unpack_gt_instances(data_samples)
        detect = self.fast or self.detection_losses
        return walked, *detect(walked.predictions, truths, metas, ignored)

    def teacher_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str, student: HeadTaps
    ) -> HeadTaps:
        """Walk once from ``(N, 3, H, W)``."""
        return self.forward_towers(detector.extract_feat(inputs), tap)

    # --- the towers -------------------------------------------------------------------------
    def tower(self, branch: str, level: int) -> Sequence[Any]:
        """The hidden convs C_1 ... C_{n-1} of a branch at a level (shared by all levels here)."""
        return self.head.cls_convs if branch == "cls" else self.head.reg_convs

    @property
    def depth(self) -> int:
        """Number of hidden convs, n - 1 of sec. 3.2: f_i exists for i = 0 ... depth."""
        return len(self.tower("cls", 0))

    def channels(self, branch: str, i: int) -> int:
        """Channels of f_i."""
        self.check_layer(i)
        tower = self.tower(branch, 0)
        return int(tower[i - 1].conv.out_channels if i else self.head.in_channels)

    @property
    def rectify(self) -> Callable[[Tensor], Tensor]:
        """What an aligned f_i passes on its way in: ReLU where the hidden convs have it.

        Other activations (RTMDet's SiLU) would change a feature that has passed them already.
        """
        return F.relu if isinstance(self._activation, nn.ReLU) else (lambda feature: feature)

    @property
    def _activation(self) -> Any:
        tower = self.tower("cls", 0)
        return tower[0].activate if len(tower) and tower[0].with_activation else None

    def forward_towers(self, neck: Levels, tap: str = "post_relu") -> HeadTaps:
        """Every f_i of both towers and the predictions, from the neck's ``(N, C, H, W)`` maps.

        ``tap`` says whether f_i (i >= 1) is read after the activation or before it. The authors
        meant the latter, but an in-place ReLU made theirs the former. No later layer changes the
        tensors. The predictions equal ``head.forward`` to the bit (heads that act differently in
        training and evaluation: as in training).
        """
        one_of("tap", tap, TAPS)
        if tap == "pre_relu" and self.rectify is not F.relu:
            raise LabError(
                f"{type(self.head).__name__} activates by {type(self._activation).__name__}: "
                'tap="pre_relu" is for heads of ReLU, leave it at post_relu'
            )
        towers: Towers = {}
        last: dict[str, Levels] = {}
        for branch in BRANCHES:
            if self.one_tower and towers:
                towers[branch], last[branch] = towers[BRANCHES[0]], last[BRANCHES[0]]
                continue
            climbs = [self._climb(branch, level, f, tap) for level, f in enumerate(neck)]
            towers[branch] = tuple(zip(*(reached for reached, _ in climbs), strict=True))
            last[branch] = tuple(top for _, top in climbs)
        return HeadTaps(tuple(neck), towers, self.predict(last))

    def _climb(
        self, branch: str, level: int, feature: Tensor, tap: str
    ) -> tuple[list[Tensor], Tensor]:
        """The f_i of one level, and what its last conv hands to the predictor."""
        reached = [feature]
        for conv in self.tower(branch, level):
            if tap == "pre_relu" and conv.with_activation:
                before = conv(feature, activate=False)
                feature = conv.activate(before.clone())  # may act in place: spare what is kept
                reached.append(before)
            else:
                feature = conv(feature)
                reached.append(feature)
        return reached, feature

    def forward_from(self, branch: str, features: Levels, i: int) -> Levels:
        """Run hidden convs i+1 ... depth of a branch on maps ``(N, C, H, W)`` that stand for f_i.

        LabError for i out of 0 ... depth.
        """
        self.check_layer(i)
        out = []
        for level, feature in enumerate(features):
            for conv in self.tower(branch, level)[i:]:
                feature = conv(feature)
            out.append(feature)
        return tuple(out)

    def predict(self, last: dict[str, Levels]) -> Predictions:
        """Apply C_n, the predictors, to the last hidden maps ``(N, C, H, W)``,
        ``last[branch][level]``.

        A branch that is left out gives no predictions.
        """
        cls, reg = self.predict_branches(last)
        return Predictions(
            cls=tuple(self._in_order(scores) for scores in cls),
            reg=tuple(reg),
            centerness=self.predict_centerness(last),
        )

    def _in_order(self, scores: Tensor) -> Tensor:
        """``(N, A * K, H, W)`` with the classes in the order that this adapter speaks of."""
        if self.class_order is None:
            return scores
        by_class = scores.unflatten(1, (self.anchors, self.num_classes))  # (N, A, K, H, W)
        return by_class[:, :, self.class_order].flatten(1, 2)

    def predict_branches(self, last: dict[str, Levels]) -> tuple[Iterable[Tensor], ...]:
        """Class and box outputs ``(N, A * K, H, W)``, ``(N, A * R, H, W)`` per level.

        Heads whose branches need each other override it.
        """
        return (
            [self.predict_cls(level, f) for level, f in enumerate(last.get("cls", ()))],
            [self.predict_reg(level, f) for level, f in enumerate(last.get("reg", ()))],
        )

    def predict_cls(self, level: int, feature: Tensor) -> Tensor:
        """Class logits ``(N, A * K, H, W)`` of one level."""
        raise NotImplementedError

    def predict_reg(self, level: int, feature: Tensor) -> Tensor:
        """Box outputs ``(N, A * R, H, W)`` of one level."""
        raise NotImplementedError

    def predict_centerness(self, last: dict[str, Levels]) -> Levels | None:
        """Centerness logits ``(N, A, H, W)`` per level, None for heads without them."""
        return None

    # --- the head's own losses and targets ----------------------------------------------------
    def detection_losses(
        self,
        predictions: Predictions,
        gt_instances: list[Any],
        metas: list[dict],
        ignored: list[Any] | None = None,
    ) -> tuple[dict[str, Any], Targets]:
        """The head's own ``loss_by_feat`` and the targets that its assigner made on the way.

        The assigner runs once: its result is recorded, not asked for again. Ground truth has, per
        image, ``bboxes`` ``(G, 4)`` and ``labels`` ``(G,)``; ``ignored`` per image None or
        ``bboxes`` (crowds) on which assigners with an ``ignore_iof_thr`` above 0 leave priors out.
        """
        with record_calls(self.head, self.assigns) as assigner_output:
            losses = self.own_losses(predictions, gt_instances, metas, ignored)
        return losses, self.read_targets(assigner_output[0], predictions)

    def own_losses(self, predictions: Predictions, *truths: Any) -> dict[str, Any]:
        """The head's ``loss_by_feat`` on predictions; for the rest see :meth:`detection_losses`."""
        # mmdet's losses write float32 overlaps into tensors of the scores' kind
        outputs = ([full_precision(m) for m in maps] for maps in self.outputs(predictions))
        with torch.autocast(predictions.cls[0].device.type, enabled=False):
            return self.head.loss_by_feat(*outputs, *truths)

    def outputs(self, predictions: Predictions) -> list[Levels]:
        """What ``head.forward`` gives in training and ``loss_by_feat`` takes, in its order."""
        beside = () if predictions.centerness is None else (predictions.centerness,)
        return [predictions.cls, predictions.reg, *beside]

    def targets(
        self,
        predictions: Predictions,
        labels: Sequence[Tensor],
        label_weights: Sequence[Tensor],
        boxes: Sequence[Tensor],
        num_pos: Tensor | float | None = None,
        quality: Tensor | None = None,
    ) -> Targets:
        """Targets from labels and weights ``(N, P_l)`` and boxes ``(N, P_l, 4)`` of each level.

        ``num_pos`` is this process's; without it the positives are counted. ``quality`` is
        ``(N, P)``.
        """
        found = Targets(
            labels=torch.cat(tuple(labels), 1),  # (N, P)
            label_weights=torch.cat(tuple(label_weights), 1),  # (N, P)
            boxes=torch.cat(tuple(boxes), 1),  # (N, P, 4)
            num_pos=1.0 if num_pos is None else self.mean_over_processes(num_pos, labels[0]),
            num_classes=self.head.num_classes,
            centres=self.centres(predictions.cls),  # (P, 2)
            quality=quality,
        )
        return self.counted(found) if num_pos is None else found

    def counted(self, targets: Targets) -> Targets:
        """Targets with the number of their positives, a scalar: averaged over processes, at least
        1.
        """
        count = self.mean_over_processes(targets.positive.sum(), targets.boxes)
        return replace(targets, num_pos=count.clamp(min=1))

    def read_targets(self, assigner_output: Any, predictions: Predictions) -> Targets:
        """What ``head.get_targets`` returned as :class:`Targets`, ``(N, P)`` of each.

        Here that of ATSS's assigner and its like, whose boxes are xyxy in pixels already.
        """
        _, labels, label_weights, boxes, _, num_pos = assigner_output
        return self.targets(predictions, labels, label_weights, boxes, num_pos)

    def soft_labels(self, predictions: Predictions, targets: Targets) -> Tensor:
        """The classification target p^gt at every prior, ``(N, P, K)`` in [0, 1].

        One-hot at positives; heads that score localisation quality put the IoU there instead.
        """
        value = targets.positive.float() if targets.quality is None else targets.quality  # (N, P)
        return self.one_hot(targets) * value[..., None]  # (N, P, K)

    def one_hot(self, targets: Targets) -> Tensor:
        """Whether each class is that of the prior, ``(N, P, K)`` bool."""
        classes = torch.arange(self.num_classes, device=targets.labels.device)  # (K,)
        return targets.labels[..., None] == classes  # F.one_hot looks into the labels, and waits

    # --- flat views and distances ---------------------------------------------------------------
    def flat_cls(self, predictions: Predictions) -> Tensor:
        """Class logits ``(N, P, K)``."""
        return self.flat(predictions.cls, self.num_classes)

    def cls_distance(self, prediction: Predictions, target: Predictions) -> Tensor:
        """Quality focal loss towards the teacher's scores (sec. 3.3), ``(N, P)``."""
        soft_label = self.flat_cls(target).sigmoid()  # (N, P, K)
        return kd_quality_focal(self.flat_cls(prediction), soft_label, self.defaults.beta)

    def reg_distance(
        self, prediction: Predictions, target: Predictions, metas: list[dict]
    ) -> Tensor:
        """:meth:`box_distance` of what both say, ``(N, P)``."""
        return self.box_distance(prediction.reg, target.reg)

    def box_distance(self, reg: Levels, teacher_reg: Levels) -> Tensor:
        """D_pred of the regression branch per prior, ``(N, P)``: 1 - GIoU of the decoded boxes."""
        return giou_distance(self.decode(reg), self.decode(teacher_reg))

    def decode(self, reg: Levels) -> Tensor:
        """Boxes ``(N, P, 4)``, xyxy in input pixels, not clipped to the image."""
        raise NotImplementedError

    # --- locations ---------------------------------------------------------------------------
    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels between neighbouring locations, per level."""
        return tuple(
            int(s[0] if isinstance(s, tuple) else s) for s in self.head.prior_generator.strides
        )

    @property
    def anchors(self) -> int:
        """A, the number of priors at a location."""
        return int(self.head.prior_generator.num_base_priors[0])

    @of_sizes
    def priors(self, levels: Levels) -> Tensor:
        """Anchors ``(P, 4)`` xyxy, or points ``(P, 2)``, in input pixels, for maps of this size."""
        sizes = [m.shape[-2:] for m in levels]
        return torch.cat(self.head.prior_generator.grid_priors(sizes, device=levels[0].device))

    def assigned(self, levels: Levels) -> Tensor:
        """What the assigner holds against objects, ``(P, 4)`` or ``(P, 2)``: the priors."""
        return self.priors(levels)

    @of_sizes
    def cells(self, levels: Levels) -> Tensor:
        """Left and top edge ``(P, 2)``, in input pixels, of the cell that every prior stands in."""
        found = []
        for (height, width), stride in zip(
            (m.shape[-2:] for m in levels), self.strides, strict=True
        ):
            at = (torch.arange(n, device=levels[0].device) * stride for n in (height, width))
            y, x = torch.meshgrid(*at, indexing="ij")  # (H_l, W_l) each
            found.append(torch.stack([x, y], -1).view(-1, 1, 2).expand(-1, self.anchors, -1))
        return torch.cat([cell.reshape(-1, 2) for cell in found])

    @of_sizes
    def centres(self, levels: Levels) -> Tensor:
        """Centre ``(P, 2)`` of every prior, x and y in input pixels."""
        priors = self.priors(levels)  # (P, 4) or (P, 2)
        return priors if priors.size(-1) == 2 else (priors[:, :2] + priors[:, 2:]) / 2

    def boxes_around(self, edges: Tensor, levels: Levels, in_strides: bool) -> Tensor:
        """Boxes from distances to the left, top, right and bottom edge, ``(N, P, 4)`` xyxy pixels.

        ``edges`` ``(N, P, 4)`` are in strides of their levels or in pixels.
        """
        centre = self.centres(levels)  # (P, 2)
        if in_strides:
            edges = edges * self.stride_of_priors(levels)[:, None]  # (N, P, 4) * (P, 1)
        return torch.cat([centre - edges[..., :2], centre + edges[..., 2:]], -1)

    @of_sizes
    def stride_of_priors(self, levels: Levels) -> Tensor:
        """The stride in pixels at every prior, ``(P,)``."""
        each, device = zip(self.counts(levels), self.strides, strict=True), levels[0].device
        return torch.cat([torch.full((n,), float(stride), device=device) for n, stride in each])

    def counts(self, levels: Levels) -> list[int]:
        """Number of priors of each level, for one image."""
        return [m.shape[-2] * m.shape[-1] * self.anchors for m in levels]

    def flat(self, levels: Levels, last: int) -> Tensor:
        """``(N, A * last, H_l, W_l)`` per level to ``(N, P, last)``, mmdet's order of priors.

        Half precision ends here: distances and decoding are in float32.
        """
        if levels[0].dtype in (torch.float16, torch.bfloat16):
            levels = tuple(m.float() for m in levels)
        return torch.cat(
            [m.permute(0, 2, 3, 1).reshape(m.size(0), -1, last) for m in levels], dim=1
        )
