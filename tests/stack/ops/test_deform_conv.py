import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import deform_conv2d, modulated_deform_conv2d

GEOMETRIES = [
    {"stride": 1, "padding": 1, "dilation": 1, "groups": 1},
    {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2},
]


def _random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.double)


def _shifted(x, dy, dx):
    """``x[..., y + dy, x + dx]``, zero outside."""
    reach = max(abs(dy), abs(dx))
    height, width = x.shape[-2:]
    padded = F.pad(x, [reach] * 4)
    return padded[..., reach + dy : reach + dy + height, reach + dx : reach + dx + width]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_without_offsets_it_is_a_convolution(kernels, geometry):
    x, weight = _random(2, 4, 7, 8), _random(6, 4 // geometry["groups"], 3, 3)
    expected = F.conv2d(x, weight, **geometry)
    offset = torch.zeros(2, 2 * 9, *expected.shape[-2:], dtype=x.dtype)
    torch.testing.assert_close(deform_conv2d(x, offset, weight, *geometry.values()), expected)
    mask, bias = torch.ones_like(offset[:, :9]), _random(6)
    modulated = modulated_deform_conv2d(x, offset, mask, weight, bias, *geometry.values())
    torch.testing.assert_close(modulated, expected + bias[:, None, None])


def test_each_kernel_cell_and_channel_group_moves_by_its_own_offset(kernels):
    x, weight = _random(2, 4, 6, 7), _random(3, 4, 1, 2)
    # (dy, dx) of the left and the right kernel cell, for channels 0-1 and for channels 2-3.
    moves = [[(1, 0), (0, -2)], [(-1, 3), (2, 1)]]
    flat = torch.tensor(moves, dtype=x.dtype).reshape(1, 8, 1, 1)
    output = deform_conv2d(x, flat.expand(2, 8, 6, 6), weight, 1, 0, 1, 1, 2)
    expected = torch.zeros_like(output)
    for group, cells in enumerate(moves):
        channels = slice(2 * group, 2 * group + 2)
        for cell, (dy, dx) in enumerate(cells):
            moved = _shifted(x[:, channels], dy, cell + dx)[..., :6]
            expected += F.conv2d(moved, weight[:, channels, :, cell : cell + 1])
    torch.testing.assert_close(output, expected)


def test_half_an_offset_reads_the_mean_of_two_cells(kernels):
    x = torch.tensor([[[[1.0, 3.0, 11.0]]]])
    offset = torch.tensor([0.0, 0.5]).reshape(1, 2, 1, 1).expand(1, 2, 1, 3)
    output = deform_conv2d(x, offset, torch.ones(1, 1, 1, 1))
    assert output.flatten().tolist() == pytest.approx([2.0, 7.0, 5.5])  # zero beyond the border


def test_mask_scales_what_each_cell_reads(kernels):
    x, weight, bias = torch.tensor([[[[1.0, 10.0]]]]), torch.ones(1, 1, 1, 2), torch.tensor([5.0])
    offset, mask = torch.zeros(1, 4, 1, 1), torch.tensor([0.5, 0.25]).reshape(1, 2, 1, 1)
    assert modulated_deform_conv2d(x, offset, mask, weight, bias).item() == 5 + 0.5 + 2.5
    assert modulated_deform_conv2d(x, offset, mask, weight).item() == 0.5 + 2.5
    assert modulated_deform_conv2d(x, offset, 0 * mask, weight, bias).item() == 5


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_gradients_are_those_of_the_forward(kernels, geometry):
    x, weight = _random(1, 4, 4, 3), _random(2, 4 // geometry["groups"], 2, 2)
    size = F.conv2d(x, weight, **geometry).shape[-2:]
    offset, mask, bias = _random(1, 16, *size), _random(1, 8, *size), _random(2)
    inputs = [tensor.requires_grad_() for tensor in (x, offset, weight)]
    assert torch.autograd.gradcheck(lambda *a: deform_conv2d(*a, *geometry.values(), 2), inputs)
    inputs = [tensor.requires_grad_() for tensor in (x, offset, mask, weight, bias)]
    assert torch.autograd.gradcheck(
        lambda *a: modulated_deform_conv2d(*a, *geometry.values(), 2), inputs
    )


def test_bfloat16_is_float32_rounded(kernels):
    """On a map of 200 columns, where a position of eight bits is off by a cell."""
    shapes = ((2, 4, 3, 200), (2, 18, 3, 200), (3, 4, 3, 3))
    exact = [_random(*shape).bfloat16() for shape in shapes]
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        inputs = [one.clone().to(dtype).requires_grad_() for one in exact]
        out = deform_conv2d(*inputs, 1, 1)
        out.sum().backward()
        assert out.dtype == dtype
        found.append([out, *(one.grad for one in inputs)])
    for ours, theirs in zip(*found, strict=True):
        far = (ours - theirs.float()).abs().max() / ours.abs().max()
        assert far < 0.02  # bfloat16 has eight bits
