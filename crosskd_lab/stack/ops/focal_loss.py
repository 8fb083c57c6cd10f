"""Sigmoid focal loss (Lin et al., ICCV 2017, Eq. 5), one value a sample and class."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .common import fill_gradients


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fills ``output`` `(N, C)`: -α_t (1 - p_t)^γ log p_t.

    ``input`` holds logits `(N, C)`, ``target`` class numbers `(N,)`, where any number outside
    0 … C - 1 is background. ``weight`` is empty or holds one factor a class `(C,)`; each row is
    multiplied by that of its target, background by 1.
    """
    output.copy_(_focal_loss(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Fills ``grad_input`` `(N, C)`: the derivative of each value by its own logit."""
    ones = torch.ones_like(input)
    fill_gradients(
        [grad_input], lambda x: _focal_loss(x, target, weight, gamma, alpha), [input], ones
    )


def _focal_loss(x: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    classes = x.size(1)
    hit = target[:, None] == torch.arange(classes, device=x.device)
    truth = hit.to(x.dtype)
    cross_entropy = F.binary_cross_entropy_with_logits(x, truth, reduction="none")
    least = torch.finfo(x.dtype).tiny  # the slope of 0 ** gamma is infinite for gamma < 1
    p = x.sigmoid()
    p, q = p.clamp_min(least), (1 - p).clamp_min(least)
    loss = torch.where(hit, alpha * q**gamma, (1 - alpha) * p**gamma) * cross_entropy
    if weight.numel():
        rows = (weight * truth).sum(1) + (~hit).all(1).to(x.dtype)
        loss = loss * rows[:, None]
    return loss
