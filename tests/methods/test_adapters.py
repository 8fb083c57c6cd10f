"""Trainable parts: identities at first, and clear about what they were made for."""

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.methods.adapters import GcBlock, Pointwise, matched


def test_a_context_block_starts_as_the_identity_and_can_learn():
    block, feature = GcBlock(4), torch.randn(2, 4, 3, 3)
    assert torch.equal(block(feature), feature)
    block(feature).square().sum().backward()
    assert block.transform[3].weight.grad.abs().sum() > 0


def test_a_context_block_by_hand():
    block = GcBlock(2)
    torch.nn.init.zeros_(block.key.weight)  # equal shares: the context is the mean over space
    block.transform = torch.nn.Identity()
    feature = torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])
    expected = feature + torch.tensor([2.0, 2.0]).reshape(1, 2, 1, 1)
    assert torch.allclose(block(feature), expected)


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
