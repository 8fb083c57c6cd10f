"""Which heads have a fast form of targets and losses, and how a model is given it.

There are two forms and never a third: the *reference*, the head's own ``loss_by_feat`` on stock's
assigner, and the *fast* one, the same numbers within rounding, without a stop. A run on a GPU takes
the fast one, on a CPU the reference, with which the records were made; ``fast`` says otherwise.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch

from ..errors import LabError
from ..heads.base import Predictions, Targets
from ..heads.dense import HeadAdapter
from ..hot import compile_hot
from . import dense, targets
from .dense import DenseLosses
from .precision import Weights
from .targets import AssignBatch, pad_objects

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}

FORMS: dict[str, tuple[AssignBatch, DenseLosses]] = {
    "GFLHead": (targets.atss_targets, dense.gfl_losses),
    "ATSSHead": (targets.atss_targets, dense.atss_losses),
    "RetinaHead": (targets.max_iou_targets, dense.retinanet_losses),
    "FCOSHead": (targets.fcos_targets, dense.fcos_losses),
}


class FastForm:
    """What ``head.detection_losses`` does, for all images and levels at once.

    ``head`` is the adapter of a head that :func:`why_reference` finds nothing against.
    """

    def __init__(self, head: HeadAdapter) -> None:
        self.head = head
        self.assign, self.losses = FORMS[type(head.head).__name__]

    def __call__(
        self,
        predictions: Predictions,
        gt_instances: list[Any],
        metas: list[dict],
        ignored: list[Any] | None = None,
    ) -> tuple[dict[str, Any], Targets]:
        """See :meth:`HeadAdapter.detection_losses`; each loss is one number over all levels."""
        objects = pad_objects(gt_instances, ignored)
        found = self.assign(self.head, predictions, objects, metas)
        return self.losses(self.head, predictions, found), found


def why_reference(head: Any) -> str | None:
    """Why a head trains in its reference form; None where it has a fast one."""
    name = type(head.head).__name__
    if name not in FORMS:  # RoIs and queries among them
        return f"no fast form of {name}"
    anchors = FORMS[name][0] is not targets.fcos_targets
    return (targets.why_not(head) if anchors else None) or dense.why_not(head)


def quicken(model: Any, precision: str = "fp32", compiled: bool = True) -> Any:
    """Give a Distiller the fast form of its step; its losses are the same within rounding.

    The student's detection losses get their fast form where its head has one; else the reference
    stays, and one line says so. The teacher gets its inference form. Not to be undone: build the
    model anew for the reference. ``precision`` "bf16" keeps activations in bf16 and weights in
    float32, and on a GPU compiles what :mod:`crosskd_lab.hot` marks if ``compiled``; LabError for
    another, or a detector that has no bf16 form.
    """
    if precision not in PRECISIONS:
        raise LabError(f"precision = {precision!r}: choose one of {', '.join(PRECISIONS)}")
    pair, head = model.pair, model.pair.student_head
    if reason := why_reference(head):
        warnings.warn(f"{reason}: it trains in its reference form", stacklevel=2)
    else:
        head.fast = FastForm(head)
    dtype = PRECISIONS[precision]
    if dtype == torch.bfloat16:
        Weights(pair.student, dtype, frozen=False)
        compile_hot(compiled)
    Weights(pair.teacher, dtype, frozen=True)
    return model
