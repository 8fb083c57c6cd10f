"""Main Region by hand."""

import torch

from crosskd_lab.methods.main_region import MainRegion


def test_the_mean_over_positives(hand):
    student = torch.zeros(1, 2, 2, 2)
    teacher = torch.arange(8).reshape(1, 2, 2, 2).float()
    taps = hand(student, teacher, positive=(1, 2))
    # cells 1 and 2 of both channels: 1, 2, 5, 6
    assert MainRegion().losses(taps)["loss_main_region"].item() == 2 * (1 + 4 + 25 + 36) / 4
    assert MainRegion().region_map(taps)[0].tolist() == [[[0, 1], [1, 0]]]


def test_without_positives_it_is_zero_and_has_a_gradient(hand):
    student = torch.zeros(1, 2, 2, 2, requires_grad=True)
    loss = MainRegion().losses(hand(student, torch.ones(1, 2, 2, 2), positive=()))
    loss["loss_main_region"].backward()
    assert loss["loss_main_region"].item() == 0 and not student.grad.any()
