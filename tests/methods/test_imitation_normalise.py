"""Normalisations by hand."""

import math

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.methods.imitation import channel_attention, min_max, spatial_attention


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
