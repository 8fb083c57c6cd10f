"""DeFeat by hand: LD's dense form."""

import pytest
import torch

from crosskd_lab.methods.defeat import DeFeat

BOX = [[-4, -4, 4, 4]]  # holds the centre (0, 0) alone


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(weight=1.0), 4 + 2 * 1),
        (dict(), 12.0),
        (dict(weight=1.0, foreground=0.5, background=0.0), 2.0),
    ],
)
def test_both_means_by_hand(hand, options, expected):
    student, teacher = torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2)
    teacher[..., 0, 0] = 2
    taps = hand(student, teacher, [BOX])
    assert DeFeat(**options).losses(taps)["loss_defeat"].item() == pytest.approx(expected)


def test_its_map_shows_both_weights(hand):
    taps = hand(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2), [BOX])
    assert DeFeat().region_map(taps)[0].tolist() == [[[1, 2], [2, 2]]]
