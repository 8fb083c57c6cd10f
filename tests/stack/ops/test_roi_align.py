import math
from itertools import product

import pytest
import torch
from mmcv.ops import roi_align

from crosskd_lab.errors import LabError

RAMP = torch.arange(16.0).reshape(1, 1, 4, 4)  # 4y + x: linear, so a bin's mean is its centre's


def _bilinear(plane, y, x):
    """Zero from one cell outside on, the border's value in between."""
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    total = 0.0
    for row in range(height):
        for column in range(width):
            weight = max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column))
            total += weight * plane[row, column].item()
    return total


def _reference(features, roi, size, scale, ratio, shift):
    image, x1, y1, x2, y2 = roi
    x1, y1, x2, y2 = (v * scale - shift for v in (x1, y1, x2, y2))
    bin_h, bin_w = (y2 - y1) / size[0], (x2 - x1) / size[1]
    if not shift:
        bin_h, bin_w = max(y2 - y1, 1) / size[0], max(x2 - x1, 1) / size[1]
    rows, columns = ratio or math.ceil(bin_h), ratio or math.ceil(bin_w)
    output = torch.zeros(features.size(1), *size)
    for channel, i, j in product(*map(range, output.shape)):
        samples = [
            _bilinear(
                features[int(image), channel],
                y1 + bin_h * (i + (a + 0.5) / rows),
                x1 + bin_w * (j + (b + 0.5) / columns),
            )
            for a in range(rows)
            for b in range(columns)
        ]
        output[channel, i, j] = sum(samples) / len(samples)
    return output


def test_bins_of_a_ramp_hold_the_value_at_their_centres(kernels):
    rois = torch.tensor([[0.0, 0, 0, 4, 4]])
    # Pixel centres at half-integers: the bins' centres are (0.5, 2.5) in cells.
    aligned = roi_align(RAMP, rois, (2, 2), 1.0, 1, "avg", True)
    assert aligned.flatten().tolist() == pytest.approx([2.5, 4.5, 10.5, 12.5])
    # The legacy form reads half a cell further: 1 and 3.
    legacy = roi_align(RAMP, rois, (2, 2), 1.0, 1, "avg", False)
    assert legacy.flatten().tolist() == pytest.approx([5, 7, 13, 15])


def test_scale_turns_image_units_into_cells(kernels):
    rois = torch.tensor([[0.0, 0, 0, 32, 32]])
    output = roi_align(RAMP, rois, (2, 2), 1 / 8, 0, "avg", True)
    assert output.flatten().tolist() == pytest.approx([2.5, 4.5, 10.5, 12.5])


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_any_rois_equal_the_definition_by_loops(kernels, ratio, aligned):
    features = torch.randn(2, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    rois = torch.tensor(
        [
            [0, 1.0, 2, 9, 7],
            [1, 0.5, 0.25, 3, 9.5],
            [0, 2.0, 2, 2.5, 2.5],
            [1, -6.0, -4, 16, 15],  # reaches more than a cell outside on all sides
        ]
    )
    output = roi_align(features, rois, (3, 2), 0.5, ratio, "avg", aligned)
    for roi, pooled in zip(rois.tolist(), output, strict=True):
        expected = _reference(features, roi, (3, 2), 0.5, ratio, 0.5 if aligned else 0.0)
        torch.testing.assert_close(pooled, expected, rtol=0, atol=2e-5)


def test_no_rois_and_rois_without_area_give_zeros(kernels):
    assert roi_align(RAMP, torch.zeros(0, 5), (2, 2)).shape == (0, 1, 2, 2)
    point = torch.tensor([[0.0, 2, 2, 2, 2]])
    assert roi_align(RAMP, point, (2, 2), 1.0, 0, "avg", True).abs().sum() == 0


def test_gradient_is_that_of_the_forward(kernels):
    features = torch.randn(2, 1, 4, 5, dtype=torch.double, requires_grad=True)
    rois = torch.tensor([[0, 0.5, 0.5, 3, 3.5], [1, -1, 1, 4, 2.5]], dtype=torch.double)
    assert torch.autograd.gradcheck(lambda x: roi_align(x, rois, (2, 2), 1.0, 2), features)


def test_max_pooling_is_refused_in_one_line():
    with pytest.raises(LabError, match=r"pool_mode='max'.*pool_mode='avg'"):
        roi_align(RAMP, torch.tensor([[0.0, 0, 0, 4, 4]]), (2, 2), 1.0, 1, "max", True)


def test_bfloat16_is_float32_rounded(kernels):
    """Boxes come in float32 and are read so: with eight bits, 300.75 would be 300."""
    features = (torch.arange(512.0) - 300).expand(1, 1, 4, 512).contiguous()
    boxes = torch.tensor([[0, 300.75, 0, 302.75, 4]])
    out = roi_align(features.bfloat16(), boxes, (1, 1), 1.0, 2, "avg", True)
    assert out.dtype == torch.bfloat16 and out.item() == 1.25
