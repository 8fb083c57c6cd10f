"""A one-line shape contract that says what came."""

from torch import Tensor

from .errors import LabError


def expect_same(a: Tensor, b: Tensor, what: str, remedy: str = "") -> None:
    """Raise LabError with both shapes, and the remedy, unless two tensors have one shape."""
    if a.shape != b.shape:
        raise LabError(
            f"{what}: expected equal shapes, got {tuple(a.shape)} and {tuple(b.shape)}"
            f"{f'; {remedy}' if remedy else ''}"
        )
