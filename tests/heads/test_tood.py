"""TOOD's one tower of which all layers are read, its probabilities and its two assigners."""

import math

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.errors import LabError
from crosskd_lab.heads import adapter_for
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.pair import Pair


def test_f_i_is_what_all_convs_up_to_i_gave(detector, batch):
    model = detector("tood")
    neck = model.extract_feat(batch[0])
    adapter = adapter_for(model.bbox_head)
    after, before = (adapter.forward_towers(neck, tap).towers for tap in ("post_relu", "pre_relu"))
    assert after["cls"] is after["reg"] and adapter.depth == 6
    assert [adapter.channels("cls", i) for i in range(7)] == [8, 8, 16, 24, 32, 40, 48]
    x, layers = neck[1], []
    for i, conv in enumerate(model.bbox_head.inter_convs, start=1):
        raw = conv.gn(conv.conv(x))
        assert torch.equal(before["reg"][i][1], torch.cat([*layers, raw], 1))
        x = raw.clamp(min=0)
        layers.append(x)
        assert torch.equal(after["reg"][i][1], torch.cat(layers, 1))


def test_terms_of_constant_predictions(detector, constant, mimicry):
    adapter = adapter_for(detector("tood").bbox_head)
    ours, theirs = (
        constant(adapter, 0.5, [-1.0, -1, 1, 1]),
        constant(adapter, 0.8, [-2.0, -2, 2, 2]),
    )
    losses = mimicry(adapter, ours, theirs, {0: (0, [0.0, 0, 16, 8])}, (3, 4), num_pos=7.0)
    assert losses == {
        "loss_kd_cls": pytest.approx(3 * 0.3 * math.log(2) * 84 / 7, rel=1e-4),
        "loss_kd_reg": pytest.approx(0.8 * 0.75 * 84 / 7, rel=1e-5),
    }
    boxes = adapter.decode(ours.reg)[0]  # xyxy in strides: alike at all locations of a level
    assert boxes[9].tolist() == [-8, -8, 8, 8] and boxes[64].tolist() == [-16, -16, 16, 16]


@pytest.mark.parametrize("kind", ["anchor_free", "anchor_based"])
def test_the_epoch_chooses_the_assigner(detector, batch, stepped, epoch, kind):
    coder = dict(type="DeltaXYWHBBoxCoder", target_stds=[0.1, 0.1, 0.2, 0.2])
    model = detector("tood", anchor_type=kind, bbox_coder=coder)
    for number in (0, model.bbox_head.initial_epoch):
        epoch(number)
        adapter, said, losses, targets = stepped(model, batch)
        stock = model.loss(*batch)
        for name in ("loss_cls", "loss_bbox"):
            assert all(map(torch.equal, losses[name], stock[name]))
        assert (targets.quality is None) == (number == 0)
        soft = adapter.soft_labels(said, targets)
        assert not soft[~targets.positive].any()
        at = soft[targets.positive].amax(-1)
        assert ((at == 1).all()) if number == 0 else (at < 1).any() and (at <= 1).all()
    assert torch.equal(at, targets.quality[targets.positive])


def test_outside_of_a_run_it_is_epoch_0(detector, batch, stepped, epoch):
    epoch(None)
    *_, targets = stepped(detector("tood"), batch)
    assert targets.quality is None


def test_plain_towers_meet_it_at_the_neck_or_through_a_conv(detector, batch):
    tood, gfl = (detector(f, seed=k, stacked_convs=4) for k, f in enumerate(("tood", "gfl")))
    with pytest.raises(LabError, match="has 8 channels at the tap, the teacher's 24"):
        Distiller(pair=Pair(gfl, tood), methods=[CrossKD(i=3)])
    for pair in (Pair(gfl, tood), Pair(tood, gfl)):
        for method in (CrossKD(i=0), CrossKD(i=1), CrossKD(i=3, align="conv")):
            losses = Distiller(pair=pair, methods=[method, PredictionMimicking()]).loss(*batch)
            terms = [value for name, value in losses.items() if "kd" in name]
            assert len(terms) == 4 and all(value.isfinite() and value > 0 for value in terms)
