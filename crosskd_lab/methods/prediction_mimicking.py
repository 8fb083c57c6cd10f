"""Plain prediction mimicking: the student's own head answers to the teacher, too."""

from __future__ import annotations

from torch import Tensor

from ..taps import Taps
from .base import PredictionTerms


class PredictionMimicking(PredictionTerms):
    """Eq. (1): ``(1/|S|) * sum over r of S(r) * D_pred(p^s(r), p^t(r))``.

    The limit i = n of CrossKD (sec. 4.2): the same terms and weights on the student's own
    predictions, whose last layers then serve the annotations and the teacher at once. For heads
    with box distributions the regression term is LD's KL (Zheng et al. 2022) at T = 1.
    """

    name = "kd"

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_kd_cls`` and ``loss_kd_reg``."""
        return self.mimic(taps.student.predictions, taps)
