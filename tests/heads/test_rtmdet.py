"""RTMDet's layers, units and terms; what it shares with no other head."""

from __future__ import annotations

import math

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.heads import adapter_for

LN4 = math.log(4)  # sigma = 0.8


def test_levels_share_their_convs_and_not_their_norms(detector):
    adapter = adapter_for(detector("rtmdet").bbox_head)
    assert adapter.depth == 2 and adapter.strides == (8, 16, 32)
    for branch in ("cls", "reg"):
        (one, _), (other, _) = adapter.tower(branch, 0), adapter.tower(branch, 2)
        assert one.conv is other.conv and one.bn is not other.bn
        assert isinstance(one.activate, torch.nn.SiLU)


def test_terms_of_constant_predictions(detector, constant, mimicry):
    adapter = adapter_for(detector("rtmdet").bbox_head)
    ours, theirs = constant(adapter, 0.0, [8.0] * 4), constant(adapter, LN4, [16.0] * 4)
    # 84 squares of 16 in squares of 32 pixels around the points: GIoU = IoU = 1/4
    losses = mimicry(adapter, ours, theirs, {0: (0, [0.0, 0, 16, 8])}, (3, 4), num_pos=7.0)
    assert losses == {
        "loss_kd_cls": pytest.approx(3 * 0.3 * math.log(2) * 82 / 7, rel=1e-5),
        "loss_kd_reg": pytest.approx(0.8 * 0.75 * 82 / 7, rel=1e-5),
    }
    # points on multiples of the stride: the tenth is (8, 8), the 65th (0, 0) again
    boxes = adapter.decode(ours.reg)[0]
    assert boxes[9].tolist() == [0, 0, 16, 16] and boxes[64].tolist() == [-8, -8, 8, 8]


def test_distances_may_be_exponents_and_are_pixels(detector, batch):
    model = detector("rtmdet", exp_on_reg=True)
    adapter, neck = adapter_for(model.bbox_head), model.extract_feat(batch[0])
    reg = adapter.forward_towers(neck).predictions.reg
    for ours, theirs in zip(reg, model.bbox_head(neck)[1], strict=True):
        assert torch.equal(ours, theirs) and ours.min() > 0


def test_positives_are_counted(detector, batch, stepped):
    *_, targets = stepped(detector("rtmdet"), batch)
    assert targets.num_pos == targets.positive.sum().item() > 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(with_objectness=True), "set with_objectness=False"),
        (
            dict(use_depthwise=True, share_conv=False),
            "DepthwiseSeparableConvModule .*write an adapter",
        ),
    ],
)
def test_what_it_cannot_be_read_with_is_said(detector, changes, told):
    with pytest.raises(LabError, match=told):
        adapter_for(detector("rtmdet", **changes).bbox_head)
