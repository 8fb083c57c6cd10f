"""Deformable DETR: stock's own step, and one decoder layer at a time."""

import copy

import pytest
import torch

from crosskd_lab.heads import adapter_of
from crosskd_lab.heads.base import Predictions
from crosskd_lab.pair import Pair
from crosskd_lab.taps import collect


@pytest.fixture(params=[True, False], ids=["refined", "plain"])
def pair(beyond_dense, request):
    changes = {"with_box_refine": request.param}
    return Pair(beyond_dense("deformable", 0, **changes), beyond_dense("deformable", 1, **changes))


def test_the_losses_are_stock_to_the_bit(pair, make_batch):
    stock = copy.deepcopy(pair.student)
    inputs, samples = make_batch()
    _, ours = collect(pair, inputs, samples)
    theirs = stock.loss(inputs, samples)
    assert set(ours) == set(theirs) and len(theirs) == 9
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_layer_by_layer_equals_the_stock_decoder(pair, make_batch):
    taps, _ = collect(pair, *make_batch())
    for side, detector in ((taps.student, pair.student), (taps.teacher, pair.teacher)):
        head = adapter_of(detector)
        for layer in range(3):
            said = head.through(layer, side, side.memory)
            assert torch.equal(said.cls[0], side.predictions.cls[layer])
            assert torch.equal(said.reg[0], side.predictions.reg[layer])


def test_taps_hold_every_layers_queries(pair, make_batch):
    taps, _ = collect(pair, *make_batch())
    assert [f[0].shape for f in taps.student.towers["cls"]] == [(2, 50, 64)] * 4
    assert torch.equal(taps.student.entering[1], taps.student.towers["reg"][1][0])
    assert taps.targets.num_pos == 2 * 50
    assert taps.targets.positive.sum() == 3  # each of the three boxes has its query


def test_box_distance_is_in_pixels():
    class Head:
        from crosskd_lab.heads.decoder import DecoderAdapter

        reg_distance = DecoderAdapter.reg_distance

    said = Predictions((), (torch.tensor([[[0.5, 0.5, 0.2, 0.2]]]),))
    target = Predictions((), (torch.tensor([[[0.6, 0.5, 0.2, 0.4]]]),))
    # x moves by 0.1 of 100 px at both ends; y by 0.1 of 50 px at both ends: (10 + 10 + 5 + 5) / 4
    found = Head().reg_distance(said, target, [{"img_shape": (50, 100)}])
    assert found.item() == pytest.approx(7.5, abs=1e-4)


def test_scores_decide_by_cross_entropy(beyond_dense):
    head = adapter_of(beyond_dense("deformable", **{"bbox_head.num_classes": 1}))
    same = Predictions((torch.full((1, 1, 1), 1.3862944),), ())  # sigmoid 0.8
    assert head.cls_distance(same, same).item() == pytest.approx(0.500402, abs=1e-5)
