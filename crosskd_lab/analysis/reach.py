"""Which of the student's layers a loss teaches: the gradient at every layer's own weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from ..heads import BRANCHES, HeadAdapter
from ..pair import Pair

PREDICTORS = "predictors"


def layers_of(detector: Any, head: HeadAdapter) -> dict[str, list[nn.Parameter]]:
    """A dense detector's trained weights by the part that they belong to, from image to prediction.

    Args:
        detector: The detector that the head belongs to.
        head: Its adapter.

    Returns:
        "backbone", "neck", "cls 1" ... "cls n", "reg 1" ... "reg n" (hidden convs in the paper's
        count: layer k makes f_k) and "predictors", all that is left of the head. A conv that both
        towers or several levels share is filed where it comes first.
    """
    parts = {name: list(getattr(detector, name).parameters()) for name in ("backbone", "neck")}
    taken: set[int] = set()
    for branch in BRANCHES:
        towers = [head.tower(branch, level) for level in range(len(head.strides))]
        for k, convs in enumerate(zip(*towers, strict=True), 1):
            parts[f"{branch} {k}"] = _fresh((p for c in convs for p in c.parameters()), taken)
    parts[PREDICTORS] = _fresh(head.head.parameters(), taken)
    return {name: [p for p in own if p.requires_grad] for name, own in parts.items()}


def reach(pair: Pair, loss: Tensor) -> pd.DataFrame:
    """How strongly a loss pulls at every part of the student.

    Args:
        pair: Student and teacher.
        loss: A scalar, computed from the student with gradients on.

    Returns:
        ``part``, as :func:`layers_of` names it, and ``norm``, the gradient's Euclidean length over
        the part's weights; exactly 0 where the loss does not reach.
    """
    parts = layers_of(pair.student, pair.student_head)
    weights = [p for own in parts.values() for p in own]
    found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    squares = iter(0.0 if g is None else g.double().square().sum().item() for g in found)
    norms = [sum(next(squares) for _ in own) ** 0.5 for own in parts.values()]
    return pd.DataFrame({"part": list(parts), "norm": norms})


def _fresh(weights: Iterable[nn.Parameter], taken: set[int]) -> list[nn.Parameter]:
    """Those that are not taken yet; they are then."""
    fresh = []
    for weight in weights:
        if id(weight) not in taken:
            taken.add(id(weight))
            fresh.append(weight)
    return fresh
