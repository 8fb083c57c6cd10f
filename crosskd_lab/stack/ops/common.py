"""What the op families share: gradients by autograd, and torchvision's kernels where they load."""

from collections.abc import Callable, Sequence
from functools import cache

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
