"""CrossKD beyond dense heads: decoder layers of Deformable DETR as the head's layers."""

from typing import Any

import torch
from torch import Tensor

from ..errors import LabError, one_of
from ..heads.base import HeadFamily, Predictions
from ..heads.decoder import DecoderTaps
from ..taps import Taps
from .crosskd import PredictionTerms

DELIVERED = ("memory", "query")


class DecoderTerms(PredictionTerms):
    """What the two decoder methods share: their pair's check, and terms summed over layers."""

    families = ("decoder",)

    def attach(self, student: HeadFamily, teacher: HeadFamily) -> None:
        """Raise LabError for decoders that do not fit."""
        ours, theirs = (
            (h.depth, h.channels("cls", 0), h.queries)  # type: ignore[attr-defined]
            for h in (student, teacher)
        )
        if ours != theirs:
            raise LabError(
                f"layers, channels and queries of the student's decoder are {ours}, of the "
                f"teacher's {theirs}: give both decoders the same num_layers, embed_dims and "
                "num_queries"
            )

    def over_layers(
        self, pairs: list[tuple[Predictions, Predictions]], taps: Taps
    ) -> dict[str, Tensor]:
        """The terms of (said, target) of every layer, added up."""
        total: dict[str, Tensor] = {}
        for prediction, target in pairs:
            for name, value in self.mimic(prediction, taps, target).items():
                total[name] = total[name] + value if name in total else value
        return total


class DecoderCrossKD(DecoderTerms):
    """``sum over layers j of (1/|S|) * sum over q of S(q) * D_pred(p_hat_j^s(q), p_j^t(q))``.

    The student's memory, or its queries too, go through the frozen teacher's decoder layers.

    Paper: none of its text; its web page names Deformable DETR. So this follows the authors'
    unfinished branches, which hold both forms. Which of them made a number is unknown.

    Idea: every layer j of the teacher runs for itself.

    - ``delivered="memory"``: the teacher's own queries and references enter it, as they do in the
      teacher's own forward; only the memory that it attends to is the student's. The target is
      what the teacher itself says.
    - ``delivered="query"``: the *student's* query and reference enter it. The cross-head
      prediction attends to the student's memory, the target to the teacher's, with the same
      queries detached; so both sides speak of the same query and no matching is needed.

    Needs: decoders of one depth and width, memories of one shape (same strides and image size).
    No ground truth: |S| is the number of queries for classes, the sum of S for boxes. Nothing to
    train.

    Symbols: q = query; j = decoder layer; S(q) = the teacher's best class score, ``(N, Q)``;
    p_hat_j^s = what the teacher's layer j says to what was delivered, class logits ``(N, Q, K)``
    and boxes ``(N, Q, 4)``; p_j^t = the target.

    Carried over: the branches train 50 epochs in batches of 32 with K = 80. Each term is divided by
    its own queries or S, and classes that both score at nothing add next to nothing (beta = 0).

    Unverified: which delivery the authors would have kept; both of their branches are unfinished.

    Args:
        delivered: "memory" or "query".
        terms: See :class:`PredictionTerms`.
    """

    name = "crosskd"

    def __init__(self, delivered: str = "memory", **terms: Any) -> None:
        super().__init__(**terms)
        one_of("delivered", delivered, DELIVERED)
        self.delivered = delivered

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_crosskd_cls`` and ``loss_crosskd_reg``, summed over the layers."""
        student, teacher = taps.student, taps.teacher
        assert isinstance(student, DecoderTaps) and isinstance(teacher, DecoderTaps)
        layers = range(taps.teacher_head.depth)
        if self.delivered == "memory":
            own = [_of_layer(teacher.predictions, layer) for layer in layers]
            prediction = [deliver(taps, layer, teacher, student.memory) for layer in layers]
        else:
            own = [_answer(taps, layer) for layer in layers]
            prediction = [deliver(taps, layer, student, student.memory) for layer in layers]
        return self.over_layers(list(zip(prediction, own, strict=True)), taps)


class DecoderMimicking(DecoderTerms):
    """``sum over layers j of (1/|S|) * sum over q of S(q) * D_pred(p_j^s(q), p_j^t(q))``.

    Paper: eq. (1) of CrossKD, carried over to decoders after the authors' unfinished branch.

    Idea: plain prediction mimicking, the student's own predictors answer twice. Queries of two
    detectors do not correspond, so the target is the teacher's answer to the student's own query:
    the student's queries and references, detached, in the teacher's layer on the teacher's memory.
    The baseline of ``DecoderCrossKD(delivered="query")``.

    Needs: as :class:`DecoderCrossKD`.

    Symbols: as :class:`DecoderCrossKD`; p_j^s = what the student's layer j says, its own queries
    on its own memory.

    Carried over: as for :class:`DecoderCrossKD`.

    Args:
        terms: See :class:`PredictionTerms`.
    """

    name = "kd"

    def losses(self, taps: Taps) -> dict[str, Tensor]:
        """``loss_kd_cls`` and ``loss_kd_reg``, summed over the layers."""
        pairs = [
            (_of_layer(taps.student.predictions, layer), _answer(taps, layer))
            for layer in range(taps.teacher_head.depth)
        ]
        return self.over_layers(pairs, taps)


def deliver(taps: Taps, layer: int, asks: DecoderTaps, memory: Tensor) -> Predictions:
    """Eq. (2) for a decoder layer: what the teacher's layer says when it attends to ``memory``.

    Args:
        taps: The batch.
        layer: 0 ... L - 1.
        asks: Whose queries and references enter.
        memory: ``(N, V, C)``.
    """
    head: Any = taps.teacher_head
    return head.through(layer, asks, memory)


@torch.no_grad()
def _answer(taps: Taps, layer: int) -> Predictions:
    """What the teacher says to the student's queries, on its own memory."""
    assert isinstance(taps.student, DecoderTaps) and isinstance(taps.teacher, DecoderTaps)
    return deliver(taps, layer, taps.student, taps.teacher.memory)


def _of_layer(predictions: Predictions, layer: int) -> Predictions:
    return Predictions((predictions.cls[layer],), (predictions.reg[layer],))
