"""Masked errors by hand, and where a batch's targets are."""

import torch

from crosskd_lab.methods.imitation import masked_error, positives

STUDENT, TEACHER = torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2)
TEACHER[..., 0, 0] = 2  # the foreground cell
MASK = torch.tensor([[[True, False], [False, False]]])


def test_masked_error_by_hand():
    # sums of squares: 2 channels of 4 inside; 3 cells of 2 channels of 1 outside
    assert masked_error(STUDENT, TEACHER, MASK).item() == 8 / 2
    assert masked_error(STUDENT, TEACHER, ~MASK).item() == 6 / 2 / 3


def test_an_empty_mask_gives_zero():
    assert masked_error(STUDENT, TEACHER, MASK & ~MASK).item() == 0


def test_positives_of_any_prior_count(tapped):
    _, taps = tapped("RetinaHead")  # nine priors a location
    maps = positives(taps)
    assert [m.shape for m in maps] == [m[:, 0].shape for m in taps.student.neck]
    expected = taps.targets.positive.unflatten(1, (-1, 9)).any(-1)
    assert torch.equal(torch.cat([m.flatten(1) for m in maps], 1), expected)
    assert maps[0].dtype == torch.bool and not expected[1].any() and expected[0].any()
