"""Inside GT Box by hand."""

import torch
from pytest import approx

from crosskd_lab.methods.inside_gt import InsideGT, inside_boxes, inside_gt

BOX = [[0, 0, 16, 16]]


def test_one_cell_inside_one_box(hand):
    student, teacher = torch.zeros(1, 3, 3, 3), torch.full((1, 3, 3, 3), 9.0)
    teacher[..., 1, 1] = 2  # the only centre strictly inside: (8, 8)
    taps = hand(student, teacher, [BOX])
    assert inside_gt(taps)[0].nonzero().tolist() == [[0, 1, 1]]
    assert InsideGT().losses(taps)["loss_inside_gt"].item() == 8


def test_images_are_pooled(hand):
    student, teacher = torch.zeros(2, 1, 3, 3), torch.ones(2, 1, 3, 3)
    teacher[1] = 3
    taps = hand(student, teacher, [BOX, [[0, 0, 24, 16]]])
    # one cell of error 1, two of error 9 (centres (8, 8) and (16, 8))
    assert InsideGT(weight=1.0).losses(taps)["loss_inside_gt"].item() == approx(19 / 3)


def test_a_level_without_positives_takes_no_part(hand):
    student, teacher = torch.zeros(1, 3, 3, 3), torch.ones(1, 3, 3, 3)
    taps = hand(student, teacher, [BOX], positive=())
    assert InsideGT().losses(taps)["loss_inside_gt"].item() == 0
    assert not InsideGT().region_map(taps)[0].any()


def test_only_centres_strictly_inside_a_box_count():
    centre = torch.tensor([[0.0, 0.0], [8.0, 8.0], [16.0, 8.0], [16.0, 16.0]])
    box = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    assert inside_boxes(centre, box).tolist() == [False, True, False, False]
    assert not inside_boxes(centre, torch.zeros(0, 4)).any()
