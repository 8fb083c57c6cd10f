import math

import pytest
import torch
from mmcv.ops import sigmoid_focal_loss

LOGITS = torch.tensor([[2.0, -1.0, 0.0], [0.5, 1.5, -3.0], [-0.5, 0.0, 4.0]], dtype=torch.double)
TARGETS = torch.tensor([1, 3, -1])  # class 1, then background in both its spellings
GAMMA, ALPHA = 1.5, 0.3


def _by_formula(logit, positive):
    """-α_t (1 - p_t)^γ log p_t, with α_t = 1 - α and p_t = 1 - p for a negative."""
    p = 1 / (1 + math.exp(-logit))
    p_t, alpha_t = (p, ALPHA) if positive else (1 - p, 1 - ALPHA)
    return -alpha_t * (1 - p_t) ** GAMMA * math.log(p_t)


EXPECTED = [
    [_by_formula(x, row == 0 and column == 1) for column, x in enumerate(logits)]
    for row, logits in enumerate(LOGITS.tolist())
]


def test_loss_is_the_formula():
    loss = sigmoid_focal_loss(LOGITS, TARGETS, GAMMA, ALPHA, None, "none")
    assert loss.tolist() == [pytest.approx(row) for row in EXPECTED]
    mean = sigmoid_focal_loss(LOGITS, TARGETS, GAMMA, ALPHA, None, "mean")
    assert mean.item() == pytest.approx(sum(map(sum, EXPECTED)) / 3)  # over rows, not elements


def test_class_weights_multiply_the_rows_of_their_targets():
    weight = torch.tensor([5.0, 7.0, 11.0], dtype=torch.double)
    loss = sigmoid_focal_loss(LOGITS, TARGETS, GAMMA, ALPHA, weight, "none")
    assert loss[0].tolist() == pytest.approx([7 * value for value in EXPECTED[0]])
    assert loss[1].tolist() == pytest.approx(EXPECTED[1])
    assert loss[2].tolist() == pytest.approx(EXPECTED[2])


def test_extreme_logits_stay_finite():
    logits = torch.tensor([[80.0, -80.0]], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1]), 2.0, 0.25, None, "none")
    # Two sure mistakes: -log p_t is 80 each, weighted 1 - α and α.
    assert loss.flatten().tolist() == pytest.approx([60.0, 20.0])
    loss.sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_a_gamma_below_one_has_a_slope_at_sure_logits():
    logits = torch.tensor([[30.0, -120.0, 0.0]], requires_grad=True)
    sigmoid_focal_loss(logits, torch.tensor([0]), 0.5, 0.25, None, "none").sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_gradient_is_that_of_the_forward(reduction):
    weight = torch.tensor([0.5, 2.0, 1.0], dtype=torch.double)
    if reduction == "none":  # mmcv's backward then takes one factor for all
        weight = None
    inputs = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: sigmoid_focal_loss(x, TARGETS, GAMMA, ALPHA, weight, reduction).sum(), inputs
    )
