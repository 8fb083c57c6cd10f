"""What is collected from a batch, and what is not."""

import dataclasses

import pytest
import torch

from crosskd_lab.taps import collect


@pytest.fixture
def collected(make_pair, make_batch):
    pair = make_pair()
    inputs, samples = make_batch()
    return pair, *collect(pair, inputs, samples)


def test_shapes_and_gradients(collected):
    _, taps, losses = collected
    sizes = [(8, 8), (4, 4), (2, 2), (1, 1), (1, 1)]
    for side, has_gradient in ((taps.student, True), (taps.teacher, False)):
        assert [tuple(f.shape) for f in side.neck] == [(2, 16, *size) for size in sizes]
        for branch in ("cls", "reg"):
            assert len(side.towers[branch]) == 5
            for f_i in side.towers[branch]:
                assert [tuple(f.shape) for f in f_i] == [(2, 16, *size) for size in sizes]
                assert all(f.requires_grad is has_gradient for f in f_i)
        assert side.predictions.cls[0].shape == (2, 3, 8, 8)
        assert side.predictions.reg[0].shape == (2, 28, 8, 8)
    assert taps.targets.labels.shape == (2, 86)
    assert set(losses) == {"loss_cls", "loss_bbox", "loss_dfl"}


def test_taps_are_frozen(collected):
    with pytest.raises(dataclasses.FrozenInstanceError):
        collected[1].targets = None


def test_cross_predictions_carry_gradient_to_f_i_and_no_further_up(collected):
    pair, taps, _ = collected
    crossed = taps.cross(3)
    f3, f4 = taps.student.towers["cls"][3], taps.student.towers["cls"][4]
    weights = list(pair.teacher.parameters())
    total = sum(c.square().sum() for c in crossed.cls)
    to_f3, to_f4 = torch.autograd.grad(total, (f3[0], f4[0]), allow_unused=True)
    assert to_f3.abs().sum() > 0 and to_f4 is None
    assert not any(w.requires_grad for w in weights)


def test_the_tap_is_what_was_asked_for(make_pair, make_batch):
    pair = make_pair()
    inputs, samples = make_batch()
    before, _ = collect(pair, inputs, samples, "pre_relu")
    after, _ = collect(pair, inputs, samples)
    for side in ("student", "teacher"):
        raw, rectified = (getattr(t, side).towers["reg"][2][0] for t in (before, after))
        assert raw.min() < 0 <= rectified.min()
