"""RoIAlign (He et al., Mask R-CNN, ICCV 2017): the mean of bilinear samples in each bin."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import LabError
from .common import fill_gradients, through_float32, torchvision_op

_AVERAGE = 1  # mmcv's number for pool_mode="avg"; 0 is "max"


def roi_align_forward(
    input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, **how: Any
) -> None:
    """Fills ``output`` `(K, C, aligned_height, aligned_width)`.

    ``input`` is `(B, C, H, W)`; ``rois`` `(K, 5)`: the image's number, then xyxy in units that
    ``spatial_scale`` turns into cells of ``input``. ``sampling_ratio`` samples a bin and axis, or
    about one a cell where it is 0. ``aligned`` puts pixel centres at half-integers.
    Raises ``LabError`` for max pooling, which has no stand-in; ``argmax_*`` serve only that.
    """
    output.copy_(_roi_align(input, rois, **how))


def roi_align_backward(*tensors: Tensor, **how: Any) -> None:
    """Fills ``grad_input`` `(B, C, H, W)` from ``grad_output`` `(K, C, h, w)`.

    The op is linear in its input, so any input serves to differentiate it: a map of zeros does.
    """
    grad_output, rois, _, _, grad_input = tensors
    zeros = torch.zeros_like(grad_input)
    fill_gradients([grad_input], lambda x: _roi_align(x, rois, **how), [zeros], grad_output)


@through_float32
def _roi_align(
    x: Tensor,
    rois: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> Tensor:
    if pool_mode != _AVERAGE:
        raise LabError(
            "roi_align with pool_mode='max' has no stand-in: set pool_mode='avg' in the config, "
            "or install a compiled mmcv 2.1"
        )
    size = aligned_height, aligned_width
    compiled = torchvision_op("roi_align")
    if compiled is not None:
        return compiled(x, rois.to(x.dtype), spatial_scale, *size, sampling_ratio, aligned)
    if len(rois) == 0:
        return x.sum() * x.new_zeros(0, x.size(1), *size)
    start, extent = _corners(rois, spatial_scale, aligned)
    samples = _samples_a_bin(extent, size, sampling_ratio)
    # RoIs of one image with equal sampling grids are read together.
    keys = torch.cat([rois[:, :1].long(), samples], dim=1)
    groups, group_of = keys.unique(dim=0, return_inverse=True)
    pooled, members = [], []
    for number, (image, *grid) in enumerate(groups.tolist()):
        chosen = (group_of == number).nonzero().squeeze(1)
        members.append(chosen)
        pooled.append(_pool(x[image], start[chosen], extent[chosen], size, (grid[0], grid[1])))
    return torch.cat(pooled)[torch.cat(members).argsort()]


def _corners(rois: Tensor, scale: float, aligned: bool) -> tuple[Tensor, Tensor]:
    """Top left corners and extents, each `(K, 2)` as (y, x), in cells of the feature map."""
    corners = rois.detach()[:, 1:].float() * scale - (0.5 if aligned else 0.0)
    start, end = corners[:, [1, 0]], corners[:, [3, 2]]
    extent = end - start
    # The legacy form takes every RoI for at least one cell wide.
    return start, extent if aligned else extent.clamp(min=1)


def _samples_a_bin(extent: Tensor, size: tuple[int, int], ratio: int) -> Tensor:
    """Samples a bin along (y, x): `(K, 2)`, int64; 0 for a RoI without area."""
    if ratio > 0:
        return torch.full_like(extent, ratio, dtype=torch.long)
    return (extent / extent.new_tensor(size)).ceil().long().clamp(min=0)


def _pool(
    x: Tensor, start: Tensor, extent: Tensor, size: tuple[int, int], samples: tuple[int, int]
) -> Tensor:
    """Pools `(K, 2)` RoIs of one map `(C, H, W)` to `(K, C, h, w)`."""
    channels, (rois, _) = len(x), start.shape
    if 0 in samples:
        return x.sum() * x.new_zeros(rois, channels, *size)
    (y, inside_y), (x_position, inside_x) = (
        _sample_axis(start[:, axis], extent[:, axis], size[axis] * samples[axis], length)
        for axis, length in enumerate(x.shape[1:])
    )
    rows, columns = y.size(1), x_position.size(1)
    grid = torch.stack(
        [
            x_position[:, None].expand(rois, rows, columns),
            y[:, :, None].expand(rois, rows, columns),
        ],
        dim=-1,
    )
    values = F.grid_sample(
        x[None],
        grid.reshape(1, rois * rows, columns, 2).to(x.dtype),
        padding_mode="border",
        align_corners=True,
    ).reshape(channels, rois, rows, columns)
    inside = inside_y[:, :, None] & inside_x[:, None]
    return F.avg_pool2d(values * inside.to(x.dtype), samples).transpose(0, 1)


def _sample_axis(start: Tensor, extent: Tensor, count: int, length: int) -> tuple[Tensor, Tensor]:
    """Evenly spread positions along one axis and whether they count, both `(K, count)`.

    Positions are in [-1, 1] from the centre of the first cell to that of the last, of ``length``
    cells. Up to one cell outside they take the border's value; further out they count as zero.
    """
    fractions = (torch.arange(count, device=start.device) + 0.5) / count
    cells = start[:, None] + fractions * extent[:, None]
    inside = (cells >= -1) & (cells <= length)
    return cells.clamp(0, length - 1) / max(length - 1, 1) * 2 - 1, inside
