"""PAA's second assignment, and what it needs."""

import math

import pytest
import torch
from mmdet.models.dense_heads import paa_head

from crosskd_lab.distiller import Distiller
from crosskd_lab.errors import LabError
from crosskd_lab.heads import adapter_for
from crosskd_lab.heads.base import record_calls
from crosskd_lab.methods.crosskd import CrossKD
from crosskd_lab.pair import Pair

LN4 = math.log(4)  # sigma = 0.8


def test_targets_are_those_of_the_second_step(detector, batch, stepped):
    model = detector("paa")
    with record_calls(model.bbox_head, "get_targets") as first:
        adapter, _, _, targets = stepped(model, batch)
    candidates = torch.stack(first[0][0]) < adapter.num_classes
    assert not (targets.positive & ~candidates).any()
    assert 1 < targets.positive.sum() < candidates.sum()
    assert targets.num_pos == targets.positive.sum().item()
    dropped = candidates & ~targets.positive
    assert not targets.boxes[dropped].any() and targets.boxes[targets.positive].any(-1).all()


def test_images_without_objects_count_as_one_each(detector, batch, stepped):
    for sample in batch[1]:
        sample.gt_instances = sample.gt_instances[:0]
    _, _, losses, targets = stepped(detector("paa"), batch)
    assert targets.num_pos == 2 and not targets.positive.any()
    assert all(value.isfinite() for value in losses.values())


def test_terms_of_constant_predictions(detector, constant, mimicry):
    adapter = adapter_for(detector("paa").bbox_head)
    ours, theirs = (constant(adapter, logit, [0.0] * 4, logit) for logit in (0.0, LN4))
    losses = mimicry(adapter, ours, theirs, {5: (0, [0.0, 0, 16, 8])}, (3, 4), num_pos=7.0)
    assert losses == {
        "loss_kd_cls": pytest.approx(3 * 0.3 * math.log(2) * 84 / 7, rel=1e-5),
        "loss_kd_reg": pytest.approx(0, abs=1e-5),
        "loss_kd_centerness": pytest.approx(math.log(2) / 7, rel=1e-5),  # at one positive
    }


def test_only_a_student_needs_scikit_learn(detector, batch, stepped, monkeypatch):
    monkeypatch.setattr(paa_head, "skm", None)
    losses = Distiller(
        pair=Pair(detector("gfl", seed=1), detector("paa", seed=2)), methods=[CrossKD()]
    ).loss(*batch)
    assert "loss_crosskd_centerness" in losses
    with pytest.raises(LabError, match="PAAHead student needs scikit-learn"):
        stepped(detector("paa"), batch)
