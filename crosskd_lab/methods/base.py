"""What a distillation method is: tensors in, named losses out."""

from __future__ import annotations

from torch import Tensor, nn

from ..heads import BRANCHES, Levels, Predictions
from ..errors import LabError
from ..losses import REGIONS, kd_quality_focal, region_mean
from ..taps import Taps


class Method(nn.Module):
    """One distillation method; subclass it in a file of its own.

    Parameters and modules that a method registers train with the student and are never saved
    with it.
    """

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """Named scalar losses, weights included.

        Names begin with ``loss_``, and only losses do: the engine adds up every entry whose name
        contains "loss".
        """
        raise NotImplementedError


class PredictionTerms(Method):
    """The two terms of eq. (1) and (2), shared by mimicking and CrossKD.

    They differ only in *whose* predictions are pulled to the teacher's: p^s or p_hat^s.

    Args:
        cls_weight: Weight of the classification term; None takes the teacher head's recipe.
        reg_weight: Weight of the regression term; None takes the teacher head's recipe.
        region: S(r) of the regression term: "teacher_score" as the authors' code has it, or
            "everywhere", S = 1, as the paper has it.
        branches: "cls", "reg" or both (Tab. 3).
        beta: Exponent of the quality focal loss.
    """

    name = "kd"

    def __init__(
        self,
        cls_weight: float | None = None,
        reg_weight: float | None = None,
        region: str = "teacher_score",
        branches: tuple[str, ...] = BRANCHES,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        if region not in REGIONS:
            raise LabError(f"region = {region!r} is unknown: choose one of {', '.join(REGIONS)}")
        if not branches or set(branches) - set(BRANCHES):
            raise LabError(f"branches = {branches!r}: give one or both of {', '.join(BRANCHES)}")
        self.cls_weight, self.reg_weight = cls_weight, reg_weight
        self.region, self.beta = region, beta
        self.branches = tuple(branches)

    def mimic(self, predictions: Predictions, taps: Taps) -> dict[str, Tensor]:
        """Both terms between ``predictions`` (in the teacher's space) and the teacher's own."""
        terms = {"cls": self._cls_term, "reg": self._reg_term}
        return {
            f"loss_{self.name}_{branch}": terms[branch](predictions, taps)
            for branch in self.branches
        }

    def _cls_term(self, predictions: Predictions, taps: Taps) -> Tensor:
        head = taps.teacher_head
        soft_label = head.flat_cls(taps.teacher.predictions).sigmoid()
        distance = kd_quality_focal(head.flat_cls(predictions), soft_label, self.beta)
        weight = head.recipe.cls_weight if self.cls_weight is None else self.cls_weight
        return weight * region_mean(distance, taps.targets.label_weights, taps.targets.num_pos)

    def _reg_term(self, predictions: Predictions, taps: Taps) -> Tensor:
        head, teacher = taps.teacher_head, taps.teacher.predictions
        region = REGIONS[self.region](head.flat_cls(teacher)) * (taps.targets.label_weights > 0)
        distance = head.box_distance(predictions.reg, teacher.reg, list(taps.metas))
        weight = head.recipe.reg_weight if self.reg_weight is None else self.reg_weight
        return weight * region_mean(distance, region, head.box_normaliser(region, taps.targets))


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
