"""CrossKD (Wang et al., CVPR 2024): the cross-head prediction mimics the teacher's."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..cross_head import Align
from ..taps import Taps
from .base import PredictionTerms


class CrossKD(PredictionTerms):
    """Eq. (2): ``(1/|S|) * sum over r of S(r) * D_pred(p_hat^s(r), p^t(r))``.

    Args:
        i: Layer whose feature f_i^s is delivered, 0 ... number of hidden convs (Tab. 1); None
            takes the teacher head's recipe (3, for FCOS 2).
        align: "statistics" as the authors' code has it, "none" as the paper's text has it, or a
            function of two maps.
        terms: Weights, region and branches, see :class:`PredictionTerms`.
    """

    name = "crosskd"

    def __init__(
        self, i: int | None = None, align: str | Align = "statistics", **terms: Any
    ) -> None:
        super().__init__(**terms)
        self.i, self.align = i, align

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_crosskd_cls`` and ``loss_crosskd_reg``; LabError if i is out of range."""
        i = taps.teacher_head.recipe.layer if self.i is None else self.i
        return self.mimic(taps.cross(i, self.align, self.branches), taps)
