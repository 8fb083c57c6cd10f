"""Deltas from anchors become boxes in pixels."""

import math

import pytest

from crosskd_lab.heads import adapter_for


def test_deltas_are_read_with_the_heads_own_deviations(detector, constant):
    # ATSS: anchors of 8 strides, deviations 0.1 for the centre and 0.2 for the size
    adapter = adapter_for(detector("atss").bbox_head)
    reg = constant(adapter, 0.0, [1.0, 0.0, 5 * math.log(2), 0.0]).reg
    boxes = adapter.decode(reg, [{}])
    assert boxes.shape == (1, 86, 4)
    # the first anchor is (-32, -32, 32, 32): moved by 0.1 of its 64 pixels, twice as wide
    assert boxes[0, 0].tolist() == pytest.approx([6.4 - 64, -32, 6.4 + 64, 32], abs=1e-3)


def test_each_anchor_has_its_own_box(detector, constant):
    adapter = adapter_for(detector("retinanet").bbox_head)
    boxes = adapter.decode(constant(adapter, 0.0, [0.0] * 4).reg, [{}])[0]
    width, height = (boxes[:9, 2] - boxes[:9, 0]), (boxes[:9, 3] - boxes[:9, 1])
    sizes = [32 * 2 ** (k / 3) for k in range(3)]
    assert (width * height).sqrt().tolist() == pytest.approx(sizes * 3, rel=1e-4)
    ratios = [0.5] * 3 + [1.0] * 3 + [2.0] * 3
    assert (height / width).tolist() == pytest.approx(ratios, rel=1e-4)
