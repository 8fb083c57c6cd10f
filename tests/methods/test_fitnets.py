"""FitNets by hand."""

import pytest
import torch

from crosskd_lab.methods.fitnets import FitNets


def test_the_mean_over_every_cell(hand):
    student, teacher = torch.zeros(1, 2, 2, 2, requires_grad=True), torch.ones(1, 2, 2, 2)
    teacher[..., 1, 1] = 2
    loss = FitNets(weight=1.0).losses(hand(student, teacher))["loss_fitnets"]
    assert loss.item() == pytest.approx(1.75)  # (3 * 1 + 4) / 4
    assert FitNets().losses(hand(student, teacher))["loss_fitnets"].item() == pytest.approx(3.5)
    equal = FitNets().losses(hand(student, student.detach()))["loss_fitnets"]
    equal.backward()
    assert equal.item() == 0 and not student.grad.any()


def test_an_adapter_bridges_channels_and_trains(hand):
    method = FitNets(weight=1.0, channels=(1, 2), levels=1)
    conv = method.adapter[0]
    torch.nn.init.ones_(conv.weight), torch.nn.init.zeros_(conv.bias)
    taps = hand(torch.full((1, 1, 1, 1), 3.0), torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1))
    loss = method.losses(taps)["loss_fitnets"]
    assert loss.item() == pytest.approx((4 + 0) / 2)
    loss.backward()
    assert conv.weight.grad.flatten().tolist() == pytest.approx([2 * 2 * 3 / 2, 0])
