"""Strides, priors and centres of points and anchors, and the order of flat tensors."""

import pytest
import torch

from crosskd_lab.heads import adapter_for

MAPS = tuple(torch.zeros(2, 1, size, size) for size in (8, 4, 2, 1, 1))


@pytest.mark.parametrize(
    ("family", "anchors", "first", "second"),
    [("fcos", 1, [4, 4], [12, 4]), ("atss", 1, [0, 0], [8, 0]), ("retinanet", 9, [0, 0], [0, 0])],
)
def test_centres_count_from_the_images_corner(detector, family, anchors, first, second):
    adapter = adapter_for(detector(family).bbox_head)
    assert adapter.strides == (8, 16, 32, 64, 128)
    assert adapter.anchors == anchors
    assert adapter.counts(MAPS) == [count * anchors for count in (64, 16, 4, 1, 1)]
    centres = adapter.centres(MAPS)
    assert centres.shape == (86 * anchors, 2)
    assert centres[:2].tolist() == [first, second]
    row_below = centres[8 * anchors] - centres[0]
    assert row_below.tolist() == [0, 8]


def test_edges_become_boxes(detector):
    adapter = adapter_for(detector("fcos").bbox_head)
    edges = torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(1, 86, 4)
    in_pixels = adapter.boxes_around(edges, MAPS, in_strides=False)
    in_strides = adapter.boxes_around(edges, MAPS, in_strides=True)
    assert in_pixels[0, 0].tolist() == [3, 2, 7, 8]  # around (4, 4)
    assert in_strides[0, 0].tolist() == [-4, -12, 28, 36]
    assert in_strides[0, 64].tolist() == [-8, -24, 56, 72]  # stride 16, around (8, 8)


def test_flat_keeps_the_priors_of_a_location_together_in_float32(detector):
    adapter = adapter_for(detector("retinanet").bbox_head)
    level = torch.arange(2 * 18.0).view(1, 18, 1, 2)  # 9 anchors x 2 numbers, 1 x 2 locations
    flat = adapter.flat((level.bfloat16(),), 2)
    assert flat.dtype == torch.float32 and flat.shape == (1, 18, 2)
    assert flat[0, 0].tolist() == [0, 2]  # first location, channels 0 and 1
    assert flat[0, 8].tolist() == [32, 34]  # its ninth anchor
    assert flat[0, 9].tolist() == [1, 3]  # second location
