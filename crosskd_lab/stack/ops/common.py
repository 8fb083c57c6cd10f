"""What the op families share: gradients by autograd, and torchvision's kernels where they load."""

from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any

import torch
from torch import Tensor


@cache
def torchvision_op(name: str) -> Callable[..., Tensor] | None:
    """torchvision's compiled op ``name``, or None where its library cannot load.

    A torchvision built for CUDA does not load beside a CPU build of torch; elsewhere its kernels
    are exact equivalents and much faster than anything written in Python.
    """
    from torchvision.extension import _has_ops

    return getattr(torch.ops.torchvision, name) if _has_ops() else None


def through_float32(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorate an op whose first argument is its input: in bfloat16, compute in float32 and round.

    torchvision's kernels have no bfloat16, and a position of eight bits is off by whole cells.
    """

    @wraps(op)
    def rounded(x: Tensor, *given: Any, **how: Any) -> Tensor:
        if x.dtype is not torch.bfloat16:
            return op(x, *given, **how)
        wide = (each.float() if getattr(each, "dtype", 0) is x.dtype else each for each in given)
        return op(x.float(), *wide, **how).to(x.dtype)

    return rounded


def fill_gradients(
    targets: Sequence[Tensor],
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    grad_output: Tensor,
) -> None:
    """Fills ``targets`` with the gradients of ``function`` at ``inputs``, each of one's shape.

    ``grad_output`` has the shape of ``function(*inputs)``. mmcv calls its backward kernels with
    autograd switched off, so it is switched on here.
    """
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in inputs]
        gradients = torch.autograd.grad(function(*leaves), leaves, grad_output)
    for target, gradient in zip(targets, gradients, strict=True):
        target.copy_(gradient)
