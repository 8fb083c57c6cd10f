"""Masked errors and the regions that a batch's targets give."""

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.methods.imitation import Imitation, around_positives, masked_error, positives

STUDENT, TEACHER = torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2)
TEACHER[..., 0, 0] = 2  # the foreground cell
MASK = torch.tensor([[[True, False], [False, False]]])


@pytest.mark.parametrize(
    ("normaliser", "inside", "outside"),
    # sums of squares: 2 channels of 4 inside; 3 cells of 2 channels of 1 outside
    [("mean", 4.0, 1.0), ("sum", 8.0, 2.0), ("half_sum", 4.0, 1.0), ("half_mean", 2.0, 0.5)],
)
def test_masked_error_by_hand(normaliser, inside, outside):
    assert masked_error(STUDENT, TEACHER, MASK, normaliser).item() == inside
    assert masked_error(STUDENT, TEACHER, ~MASK, normaliser).item() == outside


def test_an_empty_mask_gives_zero():
    assert masked_error(STUDENT, TEACHER, MASK & ~MASK).item() == 0


def test_positives_of_any_prior_count(tapped):
    _, taps = tapped("RetinaHead")  # nine priors a location
    maps = positives(taps)
    assert [m.shape for m in maps] == [m[:, 0].shape for m in taps.student.neck]
    expected = taps.targets.positive.unflatten(1, (-1, 9)).any(-1)
    assert torch.equal(torch.cat([m.flatten(1) for m in maps], 1), expected)
    assert maps[0].dtype == torch.bool and not expected[1].any() and expected[0].any()


def test_the_valuable_region_skips_priors_outside_the_image(hand):
    taps = hand(torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16), [[32, 32, 96, 96]], side=64)
    assert (around_positives(taps) > 0).sum() == 48
    taps.targets.label_weights.zero_()
    assert not around_positives(taps).any()


def test_an_unknown_normaliser_is_refused():
    with pytest.raises(LabError, match="choose one of mean, sum, half_sum, half_mean"):
        Imitation(normaliser="max")
