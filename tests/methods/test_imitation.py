"""Masked errors, normalisations by hand, and the regions that a batch's targets give."""

import math

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.methods.imitation import (
    around_positives,
    channel_attention,
    masked_error,
    min_max,
    positives,
    spatial_attention,
)

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


def test_the_valuable_region_skips_priors_outside_the_image(hand):
    taps = hand(torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16), [[32, 32, 96, 96]], side=64)
    assert (around_positives(taps) > 0).sum() == 48
    taps.targets.label_weights.zero_()
    assert not around_positives(taps).any()


def test_spatial_attention_by_hand():
    feature = torch.tensor([0.0, -0.5 * math.log(3)]).reshape(1, 1, 1, 2)
    assert spatial_attention(feature, 0.5).flatten().tolist() == pytest.approx([0.5, 1.5])


def test_channel_attention_by_hand():
    feature = torch.tensor([0.0, math.log(3)]).reshape(1, 2, 1, 1)
    assert channel_attention(feature, 1.0).flatten().tolist() == pytest.approx([0.5, 1.5])


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("sample", [0, 1 / 3, 2 / 3, 1, 0, 0, 0, 0]),
        ("channel", [0, 1, 0, 1, 0, 0, 0, 0]),
        ("map", [0, 0.2, 0.4, 0.6, 1, 1, 1, 1]),
    ],
)
def test_min_max_over_each_scope(scope, expected):
    feature = torch.tensor([[[0.0, 1.0]], [[2.0, 3.0]]])
    feature = torch.stack([feature, torch.full_like(feature, 5.0)])
    assert min_max(feature, scope).flatten().tolist() == pytest.approx(expected)


def test_min_max_refuses_an_unknown_scope():
    with pytest.raises(LabError, match="choose one of sample, channel, map"):
        min_max(torch.zeros(1, 1, 1, 1), "image")
