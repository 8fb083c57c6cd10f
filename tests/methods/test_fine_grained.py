"""Fine-grained imitation by hand."""

import pytest
import torch

from crosskd_lab.methods.fine_grained import FineGrained, anchors, near_objects

# Anchors of 8 pixels on a row at x = 0, 8, 16, 24; against this box the IoUs are 1, 1/3, 0, 0.
BOX = [[-4, -4, 4, 4]]


def test_one_cell_by_hand(hand):
    student, teacher = torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2)
    teacher[..., 0, 0] = 2
    method = FineGrained(weight=1.0)
    taps = hand(student, teacher, [BOX])
    assert method.region_map(taps)[0].tolist() == [[[1, 0], [0, 0]]]
    assert method.losses(taps)["loss_fine_grained"].item() == pytest.approx(4.0)


def test_near_is_relative_to_the_best_anchor(hand):
    taps = hand(torch.zeros(1, 1, 1, 4), torch.ones(1, 1, 1, 4), [[[-1, -4, 7, 4]]])
    # IoUs 35/77 -> 5 * 8 / (128 - 40) = 0.4545 at x = 0 and 3 * 8 / (128 - 24) = 0.2308 at x = 8:
    # just above half of the best
    assert FineGrained().region_map(taps)[0].tolist() == [[[1, 1, 0, 0]]]


def test_points_get_squares_to_stand_for_anchors(tapped):
    _, taps = tapped("FCOSHead")
    squares = anchors(taps.student_head, taps.student.neck)
    assert squares[0].tolist() == [4 - 32, 4 - 32, 4 + 32, 4 + 32]  # the first point is (4, 4)
    assert (squares[-1, 2] - squares[-1, 0]).item() == 8 * taps.student_head.strides[-1]


def test_near_objects_exceed_half_of_the_best():
    overlaps = torch.tensor([[0.80], [0.41], [0.40], [0.39]])
    assert near_objects(overlaps).tolist() == [True, True, False, False]
    assert not near_objects(torch.zeros(4, 1)).any()  # strict: untouched boxes select nothing
    assert not near_objects(torch.zeros(4, 0)).any()
