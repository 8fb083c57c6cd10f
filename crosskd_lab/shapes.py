"""One-line shape contracts that say what was expected and what came."""

from torch import Tensor

from .errors import LabError


def expect(tensor: Tensor, spec: str, what: str, **sizes: int) -> dict[str, int]:
    """Check a tensor against ``spec`` and return the sizes bound to its letters.

    ``spec`` has dimensions separated by blanks, ``"N C H W"``, ``"P 4"``: a number must match, a
    name is bound, and must match where it appears twice or is given in ``sizes``. ``what`` is the
    tensor in the reader's words.

    Raises:
        LabError: ``<what>: expected (N, C, H, W) ..., got (2, 3)``.
    """
    names = spec.split()
    bound = dict(sizes)
    fits = len(names) == tensor.dim() and all(
        size == (int(name) if name.isdigit() else bound.setdefault(name, size))
        for name, size in zip(names, tensor.shape, strict=True)
    )
    if not fits:
        given = ", ".join(f"{k} = {v}" for k, v in sizes.items())
        raise LabError(
            f"{what}: expected shape ({', '.join(names)})"
            f"{f' with {given}' if given else ''}, got {tuple(tensor.shape)}"
        )
    return bound


def expect_same(a: Tensor, b: Tensor, what: str, remedy: str = "") -> None:
    """Raise LabError with both shapes, and the remedy, unless two tensors have one shape."""
    if a.shape != b.shape:
        raise LabError(
            f"{what}: expected equal shapes, got {tuple(a.shape)} and {tuple(b.shape)}"
            f"{f'; {remedy}' if remedy else ''}"
        )
