"""What a distillation method is: tensors in, named losses out."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import LabError
from ..heads.base import BRANCHES, Levels, Predictions
from ..heads.dense import HeadAdapter
from ..heads.spaces import to_anchors
from ..losses import REGIONS, kd_quality_focal, region_mean
from ..taps import Taps
from .regions import split_levels

NORMALISERS = ("recipe", "positives")


class Method(nn.Module):
    """One distillation method; subclass it in a file of its own.

    Parameters and modules that a method registers train with the student and are never saved
    with it.

    Attributes:
        families: The kinds of heads that it serves, see :mod:`crosskd_lab.heads.base`.
    """

    families: ClassVar[tuple[str, ...]] = ("dense",)

    def attach(self, student: HeadAdapter, teacher: HeadAdapter) -> None:
        """Called once, when both detectors are built: check that they fit, create trained parts.

        Raises:
            LabError: if this method cannot serve the pair; the message names the remedy.
        """

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """Named scalar losses, weights included.

        Names begin with ``loss_``, and only losses do: the engine adds up every entry whose name
        contains "loss".
        """
        raise NotImplementedError

    def region_map(self, taps: Taps) -> Levels:
        """How much a method weighs each location, ``(N, H_l, W_l)`` a level; here all alike."""
        return tuple(torch.ones_like(m[:, 0], dtype=torch.float32) for m in taps.teacher.neck)


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
        beta: Exponent of the quality focal loss; None takes the teacher head's defaults.
        centerness_weight: Weight of the centerness term; None takes the teacher head's defaults (1
            for ATSS, 0 for FCOS, whose authors' code computes and does not use it).
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
        branches: tuple[str, ...] = BRANCHES,
        beta: float | None = None,
        centerness_weight: float | None = None,
        normaliser: str = "recipe",
    ) -> None:
        super().__init__()
        if normaliser not in NORMALISERS:
            raise LabError(f"normaliser = {normaliser!r}: choose one of {', '.join(NORMALISERS)}")
        if region not in REGIONS:
            raise LabError(f"region = {region!r} is unknown: choose one of {', '.join(REGIONS)}")
        if not branches or set(branches) - set(BRANCHES):
            raise LabError(f"branches = {branches!r}: give one or both of {', '.join(BRANCHES)}")
        self.cls_weight, self.reg_weight = cls_weight, reg_weight
        self.region, self.beta = region, beta
        self.branches = tuple(branches)
        self.centerness_weight = centerness_weight
        self.normaliser = normaliser

    def mimic(
        self, prediction: Predictions, taps: Taps, target: Predictions | None = None
    ) -> dict[str, Tensor]:
        """The terms between what is ``prediction`` (in the teacher's space) and the ``target``.

        The target is the teacher's own predictions where none is given.

        ``loss_<name>_cls``, ``loss_<name>_reg`` and, for heads that distil it,
        ``loss_<name>_centerness`` with the branch that its tower belongs to.
        """
        target = taps.teacher.predictions if target is None else target
        terms = {"cls": self._cls_term, "reg": self._reg_term}
        losses = {
            f"loss_{self.name}_{branch}": terms[branch](prediction, target, taps)
            for branch in self.branches
        }
        default, own = taps.teacher_head.defaults.centerness_weight, self.centerness_weight
        weight = default if own is None else own
        if weight and prediction.centerness is not None:
            term = self._centerness_term(prediction.centerness, taps)
            losses[f"loss_{self.name}_centerness"] = weight * term
        return losses

    def _cls_term(self, prediction: Predictions, target: Predictions, taps: Taps) -> Tensor:
        head = taps.teacher_head
        distance = head.cls_distance(prediction, target, self.beta)
        weight = head.defaults.cls_weight if self.cls_weight is None else self.cls_weight
        normaliser = head.cls_normaliser(taps.targets)
        return weight * region_mean(distance, _seen(taps.targets.label_weights, taps), normaliser)

    def _reg_term(self, prediction: Predictions, target: Predictions, taps: Taps) -> Tensor:
        head = taps.teacher_head
        region = self._region(target, taps)
        distance = head.reg_distance(prediction, target, list(taps.metas))
        weight = head.defaults.reg_weight if self.reg_weight is None else self.reg_weight
        own = head.box_normaliser(region, taps.targets)
        normaliser = own if self.normaliser == "recipe" else taps.targets.num_pos
        return weight * region_mean(distance, region, normaliser)

    def _region(self, target: Predictions, taps: Taps) -> Tensor:
        """S(r) at the teacher's priors, ``(N, P)``."""
        seen = _seen(taps.targets.label_weights, taps) > 0
        return REGIONS[self.region](taps.teacher_head.flat_cls(target)) * seen

    def region_map(self, taps: Taps) -> Levels:
        """S(r) of the regression term, the best prior's of each location."""
        region = self._region(taps.teacher.predictions, taps)
        return tuple(s.amax(-1) for s in split_levels(region, taps.teacher.neck))

    @staticmethod
    def _centerness_term(centerness: Levels, taps: Taps) -> Tensor:
        """Cross-entropy to the teacher's centerness at the student's positives."""
        head = taps.teacher_head
        assert taps.teacher.predictions.centerness is not None
        soft_label = head.flat(taps.teacher.predictions.centerness, 1).sigmoid()
        distance = kd_quality_focal(head.flat(centerness, 1), soft_label, beta=0)
        return region_mean(
            distance, _seen(taps.targets.positive.float(), taps), taps.targets.num_pos
        )


def _seen(per_prior: Tensor, taps: Taps) -> Tensor:
    """What the student's assigner says of its priors, carried over to the teacher's."""
    return to_anchors(per_prior, taps.student_head.anchors, taps.teacher_head.anchors)


def levels_of(taps: Taps, where: str, i: int) -> tuple[Levels, Levels]:
    """The student's and the teacher's maps at a named place.

    Args:
        taps: The batch.
        where: "neck", "cls" or "reg".
        i: Layer of a tower; ignored for the neck.
    """
    if where == "neck":
        return taps.student.neck, taps.teacher.neck
    if where not in BRANCHES:
        raise LabError(f"where = {where!r} is unknown: choose neck, cls or reg")
    taps.student_head.check_layer(i)
    taps.teacher_head.check_layer(i)
    return taps.student.towers[where][i], taps.teacher.towers[where][i]
