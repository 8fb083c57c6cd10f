"""What an assigner asks for, at no more than its own cost: no losses, and no student's network."""

from __future__ import annotations

from typing import Any

from ..errors import LabError
from ..heads import BRANCHES, HeadAdapter, Levels, Predictions, Targets

DYNAMIC = ("DDODHead", "PAAHead", "RTMDetHead", "TOODHead")
"""Heads of mmdet whose assigners weigh what the student predicts."""


class _Answered(Exception):
    """Carries the assigner's answer past the losses that would be computed on it."""


def assigned(
    head: HeadAdapter,
    predictions: Predictions,
    truths: list[Any],
    metas: list[dict],
    ignored: list[Any] | None = None,
) -> Targets:
    """The targets of the head's own loss, which is left as soon as its assigner has answered.

    Families that say themselves when that is (PAA, TOOD) compute their losses in full.

    Args:
        head: The student's.
        predictions: Of the batch, or blank ones for an assigner that does not look at them.
        truths: Ground truth of every image.
        metas: Per image, as mmdet's samples have them.
        ignored: See :meth:`HeadAdapter.detection_losses`.
    """
    if type(head).detection_losses is not HeadAdapter.detection_losses:
        return head.detection_losses(predictions, truths, metas, ignored)[1]
    assign = getattr(head.head, head.assigns)

    def answer(*args: Any, **kwargs: Any) -> None:
        raise _Answered(assign(*args, **kwargs))

    object.__setattr__(head.head, head.assigns, answer)
    try:
        return head.detection_losses(predictions, truths, metas, ignored)[1]
    except _Answered as carried:
        return head.read_targets(carried.args[0], predictions, metas)
    finally:
        object.__delattr__(head.head, head.assigns)


def blank_predictions(head: HeadAdapter, levels: Levels) -> Predictions:
    """Predictions of zeros for maps of these sizes: what an assigner needs that looks at no boxes.

    The number of channels comes from the head's own predictors, run on one tiny map.
    """
    last = {
        branch: tuple(m.new_zeros(1, head.channels(branch, head.depth), 1, 1) for m in levels)
        for branch in BRANCHES
    }
    tiny = head.predict(last)

    def grow(maps: Levels) -> Levels:
        pairs = zip(maps, levels, strict=True)
        return tuple(m.new_zeros(len(v), m.size(1), *v.shape[-2:]) for m, v in pairs)

    centerness = None if tiny.centerness is None else grow(tiny.centerness)
    return Predictions(grow(tiny.cls), grow(tiny.reg), centerness)


def is_dynamic(head: HeadAdapter) -> bool:
    """Whether a head's assigner looks at predictions, so that its targets change in training."""
    return any(kind.__name__ in DYNAMIC for kind in type(head.head).__mro__)


def refuse_dynamic(head: HeadAdapter) -> None:
    """Stop where an assigner needs a student that is not there.

    Raises:
        LabError: for a head whose assigner looks at predictions.
    """
    if is_dynamic(head):
        raise LabError(
            f"the assigner of {type(head.head).__name__} looks at the student's predictions and "
            "has no targets before training: take a trained student and its own boxes"
        )
