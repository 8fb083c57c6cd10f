"""VFNet's two boxes, and the branch that needs the other."""

import math

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.errors import LabError
from crosskd_lab.heads import adapter_for
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.pair import Pair

LN4 = math.log(4)  # sigma = 0.8


def test_terms_of_constant_predictions(detector, constant, mimicry):
    adapter = adapter_for(detector("vfnet").bbox_head)
    ours = constant(adapter, 0.0, [8.0] * 4 + [16.0] * 4)
    theirs = constant(adapter, LN4, [16.0] * 4 + [16.0] * 4)
    # the first boxes overlap by 1/4, the second are equal: (0.75 + 0) / 2
    losses = mimicry(adapter, ours, theirs, {0: (0, [0.0, 0, 16, 8])}, (3, 4), num_pos=7.0)
    assert losses == {
        "loss_kd_cls": pytest.approx(3 * 0.3 * math.log(2) * 84 / 7, rel=1e-5),
        "loss_kd_reg": pytest.approx(0.8 * 0.375 * 84 / 7, rel=1e-5),
    }
    assert adapter.decode(ours.reg)[0, 9].tolist() == [-8, -8, 24, 24]  # the second's


@pytest.mark.parametrize("changes", [dict(bbox_norm_type="stride"), dict(use_atss=False)])
def test_its_options_are_walked_and_assigned_as_in_stock(detector, batch, stepped, changes):
    model = detector("vfnet", **changes)
    _, _, losses, targets = stepped(model, batch)
    stock = model.loss(*batch)
    assert losses.keys() == stock.keys() == {"loss_cls", "loss_bbox", "loss_bbox_rf"}
    assert all(torch.equal(losses[name], stock[name]) for name in stock)
    assert targets.num_pos == targets.positive.sum().item() > 1
    if "use_atss" in changes:
        assert (targets.label_weights == 1).all()


def test_padding_counts_for_nothing(detector, batch, stepped):
    batch[1][1].set_metainfo(dict(pad_shape=(128, 64)))
    *_, targets = stepped(detector("vfnet"), batch)
    finest = targets.label_weights[:, :256].view(2, 16, 16)
    assert finest[0].all() and finest[1, :, :8].all() and not finest[1, :, 8:].any()


def test_the_class_is_not_distilled_without_the_box(detector, batch):
    pair = Pair(detector("gfl", seed=1, stacked_convs=3), detector("vfnet", seed=2))
    with pytest.raises(LabError, match='distil both branches, or branches=."reg",'):
        Distiller(pair=pair, methods=[CrossKD(branches=("cls",))]).loss(*batch)
    for branches in (("reg",), ("cls", "reg")):
        losses = Distiller(pair=pair, methods=[CrossKD(branches=branches)]).loss(*batch)
        terms = {name.split("_")[-1]: value for name, value in losses.items() if "kd" in name}
        assert set(terms) == set(branches)
        assert all(value.isfinite() and value > 0 for value in terms.values())


def test_it_learns_from_gfl(detector, batch):
    pair = Pair(detector("vfnet", seed=1), detector("gfl", seed=2))
    losses = Distiller(pair=pair, methods=[CrossKD(i=3), PredictionMimicking()]).loss(*batch)
    terms = [value for name, value in losses.items() if "kd" in name]
    assert len(terms) == 4 and all(value.isfinite() and value > 0 for value in terms)
