"""CrossKD (Wang et al., CVPR 2024), and plain prediction mimicking, its limit."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from mmengine.utils import get_object_from_string
from torch import Tensor, nn

from ..cross_head import ALIGNMENTS, Align, ConvAlign, delivered_layer, unsaid
from ..errors import LabError, one_of, tell_once
from ..heads.base import BRANCHES, Levels, Predictions
from ..heads.dense import HeadAdapter
from ..heads.spaces import best_anchors, nearest_anchors, same_space, to_anchors
from ..losses import REGIONS, giou_distance, kd_quality_focal, region_mean
from ..taps import Taps
from .base import Method, split_levels

NORMALISERS = ("recipe", "positives")
LOW_SHARE, LONG = 0.05, 10
"""A student's own share that is low, and for how many measures, before it is told."""


class PredictionTerms(Method):
    """The two terms of eq. (1) and (2), shared by mimicking and CrossKD.

    They differ only in *whose* predictions are pulled to the teacher's: p^s or p_hat^s.

    Carried over: the recipes' weights belong to two images a process (ATSS: eight), K = 80, and 12
    epochs for GFL and ATSS, 24 for RetinaNet and FCOS. Each term is a sum over classes and priors
    divided by the positives (for GFL's boxes by the sum of S) of the same images, so that it is the
    same in any batch, and classes that both score at nothing add nothing.

    Args:
        cls_weight: Weight of the classification term; None takes the teacher head's defaults.
        reg_weight: Weight of the regression term; None takes the teacher head's defaults.
        region: S(r) of the regression term: "teacher_score" as the authors' code has it, or
            "everywhere", S = 1, as the paper has it.
        branches: "cls", "reg" or both (Tab. 3).
        normaliser: |S| of the regression term: "recipe" is what the authors' code divides by for
            the teacher's head (GFL: the sum of S), "positives" the number of positives.
    """

    name = "kd"
    families: ClassVar[tuple[str, ...]] = ("dense", "roi")

    def __init__(
        self,
        cls_weight: float | None = None,
        reg_weight: float | None = None,
        region: str = "teacher_score",
        branches: str | tuple[str, ...] = BRANCHES,
        normaliser: str = "recipe",
    ) -> None:
        super().__init__()
        one_of("normaliser", normaliser, NORMALISERS)
        one_of("region", region, REGIONS)
        branches = (branches,) if isinstance(branches, str) else tuple(branches)
        if not branches or set(branches) - set(BRANCHES):
            raise LabError(f"branches = {branches!r}: give one or both of {', '.join(BRANCHES)}")
        self.cls_weight, self.reg_weight = cls_weight, reg_weight
        self.region, self.normaliser = region, normaliser
        self.branches = branches

    def mimic(
        self, prediction: Predictions, taps: Taps, target: Predictions | None = None
    ) -> dict[str, Tensor]:
        """The terms between what is ``prediction`` (in the teacher's space) and the ``target``.

        The target is the teacher's own predictions where none is given. ``loss_<name>_cls``,
        ``loss_<name>_reg`` and, for heads that distil it, ``loss_<name>_centerness`` with the
        branch that its tower belongs to.
        """
        head, targets = taps.teacher_head, taps.targets
        target = taps.teacher.predictions if target is None else target
        losses = {}
        if "cls" in self.branches:
            weight = head.defaults.cls_weight if self.cls_weight is None else self.cls_weight
            distance = head.cls_distance(prediction, target)  # (N, P)
            seen = _seen(targets.label_weights, taps)  # (N, P)
            term = region_mean(distance, seen, head.cls_normaliser(targets))
            losses[f"loss_{self.name}_cls"] = weight * term
        if "reg" in self.branches:
            weight = head.defaults.reg_weight if self.reg_weight is None else self.reg_weight
            distance = head.reg_distance(prediction, target, taps.metas)  # (N, P)
            region = self._region(target, taps)  # (N, P), S(r)
            own = head.box_normaliser(region, targets)
            normaliser = own if self.normaliser == "recipe" else targets.num_pos
            losses[f"loss_{self.name}_reg"] = weight * region_mean(distance, region, normaliser)
        weight = head.defaults.centerness_weight if "reg" in self.branches else 0  # its tower's
        if weight and prediction.centerness is not None:
            assert taps.teacher.predictions.centerness is not None
            soft_label = head.flat(taps.teacher.predictions.centerness, 1).sigmoid()  # (N, P, 1)
            distance = kd_quality_focal(head.flat(prediction.centerness, 1), soft_label, beta=0)
            positive = _seen(targets.positive.float(), taps)  # (N, P)
            term = region_mean(distance, positive, targets.num_pos)
            losses[f"loss_{self.name}_centerness"] = weight * term
        return losses

    def _region(self, target: Predictions, taps: Taps) -> Tensor:
        """S(r) at the teacher's priors, ``(N, P)``."""
        seen = _seen(taps.targets.label_weights, taps) > 0  # (N, P)
        return REGIONS[self.region](taps.teacher_head.flat_cls(target)) * seen

    def region_map(self, taps: Taps) -> Levels:
        """S(r) of the regression term, ``(N, H, W)`` a level: the best prior's of each location."""
        region = self._region(taps.teacher.predictions, taps)
        return tuple(s.amax(-1) for s in split_levels(region, taps.teacher.neck))


class CrossKD(PredictionTerms):
    """Eq. (2): ``(1/|S|) * sum over r of S(r) * D_pred(p_hat^s(r), p^t(r))``.

    Paper: CrossKD: Cross-Head Knowledge Distillation for Object Detection, CVPR 2024.

    Idea: send the student's feature through the rest of the teacher's frozen head and let what
    comes out mimic the teacher, so that the student's last layers answer to the annotations alone.

    Needs: levels of equal stride and, where the feature changes over, equal channels or
    ``align="conv"``. Ground truth only for |S|. Nothing to train but a learned alignment.

    Symbols: r = location; S(r) = region weight; p_hat^s = cross-head predictions; p^t = teacher's.

    Carried over: as for :class:`PredictionTerms`; the alignment's statistics are those of all
    images together, and their ratio is the same of them twice.

    Args:
        i: Layer whose feature f_i^s is delivered, 0 ... number of hidden convs (Tab. 1); None
            takes the teacher head's defaults (3, for FCOS 2). Where the towers are of different
            depth, i is the teacher's layer and must be given: the student's is the one with as
            many hidden convs after it.
        align: "statistics" as the authors' code has it, "none" as the paper's text has it, None
            for the teacher head's defaults ("statistics"; "none" for RoI heads), a function of two
            maps; or, for heads of different width, "conv" or
            ``dict(type=ConvAlign, ...)``, whose 1x1 convs train with the student from this loss
            alone and are thrown away: no saved student has them. :meth:`measures` tells what the
            student has said beside them.
        terms: Weights, region and branches, see :class:`PredictionTerms`.
    """

    name = "crosskd"
    fixed_shapes = True

    def __init__(
        self,
        i: int | None = None,
        align: str | Align | Mapping[str, Any] | None = None,
        **terms: Any,
    ) -> None:
        super().__init__(**terms)
        if isinstance(align, str):
            one_of("align", align, [*ALIGNMENTS, "conv"])
        elif not (align is None or callable(align) or isinstance(align, Mapping)):
            raise LabError(f"align = {align!r}: give a name, a function of two maps, or a dict")
        self.i = i
        self.align: Any = dict(type=ConvAlign) if align == "conv" else align
        self.learned = nn.ModuleDict()
        self._low: dict[str, int] = {}  # for how many measures each loss's share has been low

    def attach(self, student: HeadAdapter, teacher: HeadAdapter) -> None:
        """Check layer and width, and create learned alignments for the widths at hand.

        LabError for an i out of range, or depths or widths that differ where the config does not
        say what to do about it.
        """
        if self.i is None and student.depth != teacher.depth:
            raise LabError(
                f"the student's towers have {student.depth} hidden convs, the teacher's "
                f"{teacher.depth}: say CrossKD(i=...), counted in the teacher's tower; the "
                "student's layer with as many convs after it is delivered"
            )
        i = self._layer(teacher)
        own = delivered_layer(student, teacher, i)
        for branch in self.branches:
            ours, theirs = student.channels(branch, own), teacher.channels(branch, i)
            if isinstance(self.align, Mapping):
                self.learned[branch] = _build(self.align, ours, theirs)
            elif (self.align is None or isinstance(self.align, str)) and ours != theirs:
                raise LabError(
                    f"the student's {branch} tower has {ours} channels at the tap, the teacher's "
                    f"{theirs}: say CrossKD(align='conv') to learn a 1x1 conv between them"
                )

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_crosskd_cls``, ``_reg`` (and ``_centerness``); LabError if i is out of range, or
        a conv that learns was never attached.
        """
        align = dict(self.learned.items()) if len(self.learned) else self.align
        if isinstance(self.align, Mapping) and not len(self.learned):
            raise LabError(f"{type(self).__name__} learns a conv: attach it to a pair first")
        return self.mimic(taps.cross(self._layer(taps.teacher_head), align, self.branches), taps)

    @torch.no_grad()
    def measures(self, taps: Taps) -> dict[str, Tensor]:
        """The student's own share of each loss where a conv learns: ``own_crosskd_cls``, ...

        ``1 - loss / loss of f_i^s that is its mean everywhere`` (over batch and positions), through
        the same conv and teacher. 1: all of the loss is taken away, and by what the student's map
        says. 0: the conv's constant is as good. Below: what the student says is worse than nothing,
        as before training. It does not tell a student that moved from a conv that learnt to read
        one that did not. A line on stderr where a share stays below :data:`LOW_SHARE` for
        :data:`LONG` measures.
        """
        if not len(self.learned):
            return {}
        silent = {branch: unsaid(align) for branch, align in self.learned.items()}
        constant = taps.cross(self._layer(taps.teacher_head), silent, self.branches)
        said, nothing = self.losses(taps), self.mimic(constant, taps)
        shares = {}
        for name, loss in said.items():
            share = 1 - loss / nothing[name].clamp(min=torch.finfo(torch.float32).tiny)
            shares[name.replace("loss", "own")] = share
            self._low[name] = self._low.get(name, 0) + 1 if share < LOW_SHARE else 0
            if self._low[name] == LONG:
                tell_once(
                    f"{name}: the student's share of this loss is {float(share):.2f} after {LONG} "
                    "low measures: the conv's constant alone does as well; deliver at a lower i"
                )
        return shares

    def _layer(self, teacher: HeadAdapter) -> int:
        return teacher.defaults.layer if self.i is None else self.i


class PredictionMimicking(PredictionTerms):
    """Eq. (1): ``(1/|S|) * sum over r of S(r) * D_pred(p^s(r), p^t(r))``.

    Paper: section 3.1 of CrossKD, CVPR 2024, as what CrossKD is held against.

    Idea: the student's own predictions answer to the teacher's and to the annotations at once.

    Needs: equal classes. Ground truth only for |S|. Nothing to train.

    Symbols: r = location; S(r) = region weight; p^s, p^t = the student's and teacher's predictions.

    Carried over: as for :class:`PredictionTerms`.

    The limit i = n of CrossKD (sec. 4.2): the same terms and weights on the student's own
    predictions, whose last layers then serve the annotations and the teacher at once. For heads
    with box distributions the regression term is LD's KL (Zheng et al. 2022) at T = 1.

    Heads of different families or box coding are compared at one anchor a location, as
    :mod:`crosskd_lab.heads.spaces` defines: quality focal loss and 1 - GIoU of decoded boxes, each
    divided by the student's number of positives, weights 1 where none is given.
    """

    name = "kd"
    fixed_shapes = True

    def attach(self, student: HeadAdapter, teacher: HeadAdapter) -> None:
        """Raise LabError if RoI heads code boxes differently."""
        if student.family != "dense" and not same_space(student, teacher):
            raise LabError(
                f"the two {student.family} heads code boxes differently: give both the same "
                "bbox_coder and reg_class_agnostic, or use CrossKD, which stays in the teacher's"
            )

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_kd_cls`` and ``loss_kd_reg``."""
        if same_space(taps.student_head, taps.teacher_head):
            return self.mimic(taps.student.predictions, taps)
        return self._between_spaces(taps)

    def _between_spaces(self, taps: Taps) -> dict[str, Tensor]:
        """Both terms at the best anchor of every location."""
        with torch.no_grad():  # (N, R, K) and (N, R, 4)
            logits, boxes = best_anchors(taps.teacher_head, taps.teacher.predictions)
        own_logits, own_boxes = nearest_anchors(taps.student_head, taps.student.predictions, boxes)
        seen = to_anchors(taps.targets.label_weights, taps.student_head.anchors, 1)
        beta = taps.teacher_head.defaults.beta
        terms = {
            "cls": (kd_quality_focal(own_logits, logits.sigmoid(), beta), seen),
            "reg": (giou_distance(own_boxes, boxes), REGIONS[self.region](logits) * (seen > 0)),
        }
        given = {"cls": self.cls_weight, "reg": self.reg_weight}
        weights = {branch: 1.0 if weight is None else weight for branch, weight in given.items()}
        return {
            f"loss_{self.name}_{branch}": weights[branch]
            * region_mean(*terms[branch], taps.targets.num_pos)
            for branch in self.branches
        }


def _seen(per_prior: Tensor, taps: Taps) -> Tensor:
    """What the student's assigner says of its priors, carried over to the teacher's."""
    return to_anchors(per_prior, taps.student_head.anchors, taps.teacher_head.anchors)


def _build(align: Mapping[str, Any], student: int, teacher: int) -> nn.Module:
    arguments = dict(align)
    kind = arguments.pop("type", ConvAlign)
    kind = get_object_from_string(kind) if isinstance(kind, str) else kind
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise LabError(f"align's type is {align['type']!r}: give ConvAlign, or your own module")
    try:
        return kind(student, teacher, **arguments)
    except TypeError as error:
        raise LabError(f"align: {error}") from error
