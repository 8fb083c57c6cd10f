"""How the lab reads a dense head: walk its towers, resume from any layer, predict.

One walk serves the student, the teacher and the cross-head alike. A head family adds one small
file with only what differs: the names of its last convs, its box coding, its targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import LabError
from ..losses import kd_quality_focal
from .family import BRANCHES, TAPS, HeadFamily
from .locations import Locations
from .overhear import overhear
from .tensors import HeadTaps, Levels, Predictions, Targets, Towers


class HeadAdapter(Locations, HeadFamily):
    """Reads one dense head. Subclasses say only what their family does differently.

    Args:
        head: A dense head of mmdet. It is never changed.

    Attributes:
        class_order: Where the classes that this adapter speaks of stand among the head's; None if
            they are the head's own. It is how a teacher answers in the student's order.

    Raises:
        LabError: where the head is built in a way that the walk cannot reproduce.
    """

    assigns: ClassVar[str] = "get_targets"  # the head's method that runs the assigner

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        self.class_order: list[int] | None = None
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

    def walk(self, neck: Levels, tap: str = "post_relu") -> HeadTaps:
        """Every f_i of both towers and the predictions, from the neck's features (sec. 3.2).

        Args:
            neck: Per level ``(N, C, H, W)``.
            tap: Whether f_i (i >= 1) is read after the activation or before it. The authors meant
                the latter, but an in-place ReLU made theirs the former.

        Returns:
            Taps whose tensors no later layer changes. The predictions equal ``head.forward`` to
            the bit (heads that act differently in training and evaluation: as in training).
        """
        if tap not in TAPS:
            raise LabError(f"tap = {tap!r} is unknown: choose one of {', '.join(TAPS)}")
        towers: Towers = {}
        last: dict[str, Levels] = {}
        for branch in BRANCHES:
            climbs = [self._climb(branch, level, f, tap) for level, f in self._numbered(neck)]
            towers[branch] = tuple(zip(*(reached for reached, _ in climbs), strict=True))
            last[branch] = tuple(top for _, top in climbs)
        return HeadTaps(tuple(neck), towers, self.predict(last))

    def _climb(
        self, branch: str, level: int, feature: Tensor, tap: str
    ) -> tuple[list[Tensor], Tensor]:
        """The f_i of one level, and what its last conv hands to the predictor."""
        reached = [feature]
        for conv in self.tower(branch, level):
            before = conv(feature, activate=False)
            if tap == "pre_relu" and conv.with_activation:
                feature = conv.activate(before.clone())  # may act in place: spare what is kept
                reached.append(before)
            else:
                feature = conv.activate(before) if conv.with_activation else before
                reached.append(feature)
        return reached, feature

    def resume(self, branch: str, features: Levels, i: int) -> Levels:
        """Run hidden convs i+1 ... depth on features that stand for f_i.

        Args:
            branch: "cls" or "reg".
            features: Per level ``(N, C, H, W)``, as conv i+1 expects its input.
            i: 0 ... depth.

        Raises:
            LabError: if i is out of range; the message names the range.
        """
        self.check_layer(i)
        out = []
        for level, feature in self._numbered(features):
            for conv in self.tower(branch, level)[i:]:
                feature = conv(feature)
            out.append(feature)
        return tuple(out)

    def predict(self, last: dict[str, Levels]) -> Predictions:
        """Apply C_n, the predictors, to the last hidden features of the given branches.

        Args:
            last: ``last[branch][level]``. A branch that is left out gives no predictions.
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
        by_class = scores.unflatten(1, (self.anchors, self.num_classes))
        return by_class[:, :, self.class_order].flatten(1, 2)

    def predict_branches(self, last: dict[str, Levels]) -> tuple[Iterable[Tensor], ...]:
        """Class and box outputs per level; heads whose branches need each other override it."""
        cls, reg = self._numbered(last.get("cls", ())), self._numbered(last.get("reg", ()))
        return (
            (self.predict_cls(level, feature) for level, feature in cls),
            (self.predict_reg(level, feature) for level, feature in reg),
        )

    def predict_cls(self, level: int, feature: Tensor) -> Tensor:
        """Class logits ``(N, A * K, H, W)`` of one level."""
        raise NotImplementedError

    def predict_reg(self, level: int, feature: Tensor) -> Tensor:
        """Box outputs ``(N, A * R, H, W)`` of one level."""
        raise NotImplementedError

    def predict_centerness(self, last: dict[str, Levels]) -> Levels | None:
        """Centerness logits per level, None for heads without them."""
        return None

    # --- one step ------------------------------------------------------------------------------
    def student_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str
    ) -> tuple[HeadTaps, dict[str, Any], Targets]:
        """Walk once; the detection loss is the head's own, on those predictions."""
        walked = self.walk(detector.extract_feat(inputs), tap)
        gt_instances = [sample.gt_instances for sample in data_samples]
        metas = [sample.metainfo for sample in data_samples]
        return walked, *self.detection_losses(walked.predictions, gt_instances, metas)

    def teacher_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str, student: HeadTaps
    ) -> HeadTaps:
        """Walk once."""
        return self.walk(detector.extract_feat(inputs), tap)

    # --- the head's own losses and targets ----------------------------------------------------
    def detection_losses(
        self, predictions: Predictions, gt_instances: list[Any], metas: list[dict]
    ) -> tuple[dict[str, Any], Targets]:
        """The head's own ``loss_by_feat`` and the targets that its assigner made on the way.

        The assigner runs once: its result is overheard, not asked for again.
        """
        outputs = [predictions.cls, predictions.reg]
        if predictions.centerness is not None:
            outputs.append(predictions.centerness)
        with overhear(self.head, self.assigns) as heard:
            losses = self.head.loss_by_feat(*map(list, outputs), gt_instances, metas)
        return losses, self.read_targets(heard[0], predictions, metas)

    def read_targets(self, heard: Any, predictions: Predictions, metas: list[dict]) -> Targets:
        """Turn what ``head.get_targets`` returned into :class:`Targets`."""
        raise NotImplementedError

    def soft_labels(self, predictions: Predictions, targets: Targets, metas: list[dict]) -> Tensor:
        """The classification target p^gt at every prior, ``(N, P, K)`` in [0, 1].

        One-hot at positives; heads that score localisation quality put the IoU there instead.
        """
        one_hot = F.one_hot(targets.labels.clamp(0, self.num_classes), self.num_classes + 1)
        return one_hot[..., :-1] * targets.positive[..., None].float()

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
