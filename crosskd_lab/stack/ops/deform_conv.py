"""Deformable convolution, v1 (Dai et al., ICCV 2017) and v2 with a mask (Zhu et al., CVPR 2019).

For a kernel of K = kh·kw positions and G deformable groups, ``offset`` is `(N, 2GK, oh, ow)` with
(dy, dx) interleaved, in cells of the input, and ``mask`` is `(N, GK, oh, ow)`. Whatever is read
outside the input counts as zero. ``tensors`` come in the order of mmcv's kernels; those that are
left unnamed are work space, which these functions do not need.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .common import fill_gradients, through_float32, torchvision_op


class _Geometry(NamedTuple):
    """How the kernel walks over the input; pairs are (y, x)."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    deform_groups: int


def deform_conv_forward(*tensors: Tensor, **geometry: int) -> None:
    """Fills ``output`` `(N, O, oh, ow)` from ``x`` `(N, C, H, W)` and ``weight``."""
    x, weight, offset, output, _, _ = tensors
    output.copy_(_deform_conv(x, offset, None, weight, _geometry(geometry)))


def deform_conv_backward_input(*tensors: Tensor, **geometry: int) -> None:
    """Fills the gradients of ``x`` and ``offset`` from ``grad_output`` `(N, O, oh, ow)`."""
    x, offset, grad_output, grad_x, grad_offset, weight, _ = tensors
    fill_gradients(
        [grad_x, grad_offset],
        lambda x, o: _deform_conv(x, o, None, weight, _geometry(geometry)),
        [x, offset],
        grad_output,
    )


def deform_conv_backward_parameters(*tensors: Tensor, scale: float, **geometry: int) -> None:
    """Adds ``scale`` times the weight's gradient to ``grad_weight`` `(O, C / groups, kh, kw)`."""
    x, offset, grad_output, grad_weight, _, _ = tensors
    gradient = torch.zeros_like(grad_weight)
    fill_gradients(
        [gradient],
        lambda w: _deform_conv(x, offset, None, w, _geometry(geometry)),
        [gradient],  # linear in the weight: any weight serves
        grad_output,
    )
    grad_weight.add_(gradient, alpha=scale)


def modulated_deform_conv_forward(*tensors: Tensor, with_bias: bool, **geometry: int) -> None:
    """Fills ``output`` `(N, O, oh, ow)`; ``bias`` `(O,)` counts only ``with_bias``."""
    x, weight, bias, _, offset, mask, output, _ = tensors
    output.copy_(_deform_conv(x, offset, mask, weight, _geometry(geometry)))
    if with_bias:
        output.add_(bias.view(1, -1, 1, 1))


def modulated_deform_conv_backward(*tensors: Tensor, with_bias: bool, **geometry: int) -> None:
    """Fills the five gradients from the last tensor, ``grad_output`` `(N, O, oh, ow)`."""
    x, weight, _, _, offset, mask, _, *gradients, grad_output = tensors
    grad_x, grad_weight, grad_bias, grad_offset, grad_mask = gradients
    fill_gradients(
        [grad_x, grad_offset, grad_mask, grad_weight],
        lambda x, o, m, w: _deform_conv(x, o, m, w, _geometry(geometry)),
        [x, offset, mask, weight],
        grad_output,
    )
    if with_bias:
        grad_bias.copy_(grad_output.sum((0, 2, 3)))


def _geometry(words: dict[str, int]) -> _Geometry:
    """From the words of mmcv's kernels, those of v1 (``dH``, ``padH`` ...) or of v2."""
    first = "dH" in words
    names = ("d", "pad", "dilation") if first else ("stride_", "pad_", "dilation_")
    y, x = ("H", "W") if first else ("h", "w")
    stride, padding, dilation = ((words[name + y], words[name + x]) for name in names)
    return _Geometry(stride, padding, dilation, words["group"], words["deformable_group"])


@through_float32
def _deform_conv(
    x: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, geometry: _Geometry
) -> Tensor:
    """`(N, O, oh, ow)`: the convolution over the values read at the shifted positions."""
    compiled = torchvision_op("deform_conv2d")
    if compiled is not None:
        no_mask, no_bias = x.new_zeros(len(x), 1), x.new_zeros(len(weight))
        walk = (*geometry.stride, *geometry.padding, *geometry.dilation)
        groups = (geometry.groups, geometry.deform_groups, mask is not None)
        return compiled(
            x, weight, offset, no_mask if mask is None else mask, no_bias, *walk, *groups
        )
    batch, out_channels = len(x), len(weight)
    out_size = offset.shape[-2:]
    columns = _read_shifted(x, offset, weight.shape[-2:], geometry)
    if mask is not None:
        columns = columns * mask.reshape(batch, geometry.deform_groups, 1, -1, out_size.numel())
    columns = columns.reshape(batch, geometry.groups, -1, out_size.numel())
    kernel = weight.reshape(geometry.groups, out_channels // geometry.groups, -1)
    output = torch.einsum("gok,ngkl->ngol", kernel, columns)
    return output.reshape(batch, out_channels, *out_size)


def _read_shifted(
    x: Tensor, offset: Tensor, kernel_size: torch.Size, geometry: _Geometry
) -> Tensor:
    """Bilinear values `(N, G, C / G, K, oh·ow)` of ``x`` `(N, C, H, W)` under each kernel cell."""
    batch, channels, height, width = x.shape
    out_height, out_width = offset.shape[-2:]
    groups, cells = geometry.deform_groups, kernel_size.numel()
    shift = offset.reshape(batch, groups, cells, 2, out_height, out_width)
    y, x_position = _kernel_positions(kernel_size, offset, geometry)
    # Cell centres at half-integers (align_corners=False) need no division by size - 1.
    grid = torch.stack(
        [
            (2 * (shift[:, :, :, 1] + x_position) + 1) / width - 1,
            (2 * (shift[:, :, :, 0] + y) + 1) / height - 1,
        ],
        dim=-1,
    )
    values = F.grid_sample(
        x.reshape(batch * groups, channels // groups, height, width),
        grid.reshape(batch * groups, cells * out_height, out_width, 2),
        align_corners=False,
    )
    return values.reshape(batch, groups, channels // groups, cells, out_height * out_width)


def _kernel_positions(
    kernel_size: torch.Size, offset: Tensor, geometry: _Geometry
) -> tuple[Tensor, Tensor]:
    """Unshifted rows `(K, oh, 1)` and columns `(K, 1, ow)` that the kernel cells read."""

    def axis(number: int) -> Tensor:
        kernel = torch.arange(kernel_size[number]) * geometry.dilation[number]
        output = torch.arange(offset.shape[-2:][number]) * geometry.stride[number]
        return kernel[:, None] + output - geometry.padding[number]

    rows = axis(0).repeat_interleave(kernel_size[1], dim=0)[:, :, None]
    columns = axis(1).repeat(kernel_size[0], 1)[:, None, :]
    return rows.to(offset), columns.to(offset)
