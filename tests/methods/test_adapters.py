"""Trainable parts: identities at first, and clear about what they were made for."""

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.methods.adapters import Pointwise, matched


def test_pointwise_maps_channels_level_by_level():
    convs = Pointwise(2, 3, 2)
    maps = (torch.ones(1, 2, 2, 2), torch.ones(1, 2, 1, 1))
    assert [tuple(m.shape) for m in convs(maps)] == [(1, 3, 2, 2), (1, 3, 1, 1)]
    assert sum(p.numel() for p in convs.parameters()) == 2 * (2 * 3 + 3)
    with pytest.raises(LabError, match=r"maps of \[2\] channels, .* 2 maps of 2: set"):
        convs(maps[:1])
    with pytest.raises(LabError, match=r"maps of \[5, 5\] channels"):
        convs((torch.ones(1, 5, 1, 1),) * 2)


def test_matched_refuses_other_shapes():
    a, b = torch.ones(1, 2, 1, 1), torch.ones(1, 3, 1, 1)
    with pytest.raises(LabError, match=r"\(1, 2, 1, 1\) and \(1, 3, 1, 1\); do this"):
        list(matched((a,), (b,), "do this"))
