import math
from itertools import product

import torch
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

SHAPES = torch.tensor([[3, 4], [2, 2]])
STARTS = torch.tensor([0, 12])


def _inputs():
    """Value (B=2, 16, M=2, D=3), locations and weights for Q=2 queries of P=2 points."""
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(2, 16, 2, 3, generator=generator, dtype=torch.double)
    # A little beyond [0, 1], where cells outside the map count as zero.
    locations = torch.rand(2, 2, 2, 2, 2, 2, generator=generator, dtype=torch.double) * 1.2 - 0.1
    weights = torch.rand(2, 2, 2, 2, 2, generator=generator, dtype=torch.double)
    return value, locations, weights


def _read(plane, x, y):
    """Bilinear value `(D,)` of `(H, W, D)`; cell centres are at half-integers, zero outside."""
    height, width, depth = plane.shape
    column, row = x * width - 0.5, y * height - 0.5
    total = torch.zeros(depth, dtype=plane.dtype)
    for j, i in product(
        (math.floor(column), math.floor(column) + 1), (math.floor(row), math.floor(row) + 1)
    ):
        if 0 <= j < width and 0 <= i < height:
            total += (1 - abs(column - j)) * (1 - abs(row - i)) * plane[i, j]
    return total


def test_attention_equals_the_definition_by_loops():
    value, locations, weights = _inputs()
    output = MultiScaleDeformableAttnFunction.apply(value, SHAPES, STARTS, locations, weights, 64)
    expected = torch.zeros(2, 2, 2, 3, dtype=torch.double)
    for b, q, m, level, p in product(range(2), repeat=5):
        height, width = SHAPES[level].tolist()
        start = STARTS[level].item()
        plane = value[b, start : start + height * width, m].reshape(height, width, 3)
        x, y = locations[b, q, m, level, p].tolist()
        expected[b, q, m] += weights[b, q, m, level, p] * _read(plane, x, y)
    torch.testing.assert_close(output, expected.flatten(2))


def test_gradients_are_those_of_the_forward():
    inputs = [tensor.requires_grad_() for tensor in _inputs()]
    assert torch.autograd.gradcheck(
        lambda v, p, a: MultiScaleDeformableAttnFunction.apply(v, SHAPES, STARTS, p, a, 64), inputs
    )
