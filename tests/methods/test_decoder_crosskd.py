"""CrossKD and mimicking between decoders: identity, reach of the gradient, and sums by hand."""

import copy

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.errors import LabError
from crosskd_lab.methods.crosskd import CrossKD
from crosskd_lab.methods.decoder_crosskd import DecoderCrossKD, DecoderMimicking, deliver
from crosskd_lab.pair import Pair
from crosskd_lab.taps import collect


@pytest.fixture
def pair(beyond_dense):
    return Pair(*(beyond_dense("deformable", s) for s in (0, 1)), {"checkpoint": "random"})


def entropy(logits):
    p = logits.sigmoid()
    return -(p * p.log() + (1 - p) * (1 - p).log()).sum(-1)


@pytest.mark.parametrize("delivered", ["memory", "query"])
def test_a_student_that_is_its_teacher(beyond_dense, make_batch, delivered):
    student = beyond_dense("deformable")
    pair = Pair(student, copy.deepcopy(student), {"checkpoint": "random"})
    taps, _ = collect(pair, *make_batch())
    asks = taps.teacher if delivered == "memory" else taps.student
    for layer in range(3):
        cross = deliver(taps, layer, asks, taps.student.memory)
        for mine, theirs in zip(cross.cls + cross.reg, (
            taps.teacher.predictions.cls[layer], taps.teacher.predictions.reg[layer]
        ), strict=True):  # fmt: skip
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    losses = DecoderCrossKD(delivered=delivered).losses(taps)
    assert float(losses["loss_crosskd_reg"]) == pytest.approx(0, abs=1e-4)
    # beta = 0: the class term of equals is the entropy of the teacher's scores, summed over layers
    expected = sum(entropy(cls).mean() for cls in taps.teacher.predictions.cls)
    assert float(losses["loss_crosskd_cls"]) == pytest.approx(float(expected), rel=1e-4)


def reached(module):
    return any(w.grad is not None and w.grad.abs().sum() > 0 for w in module.parameters())


@pytest.mark.parametrize(("delivered", "queries_learn"), [("memory", False), ("query", True)])
def test_gradient_goes_where_the_delivery_came_from(pair, make_batch, delivered, queries_learn):
    taps, _ = collect(pair, *make_batch())
    sum(DecoderCrossKD(delivered=delivered).losses(taps).values()).backward()
    student = pair.student
    assert reached(student.encoder) and reached(student.neck) and reached(student.backbone)
    assert reached(student.decoder.layers[0]) is queries_learn
    assert not reached(student.decoder.layers[2]), "what leaves the last layer enters no other"
    assert not reached(student.bbox_head.cls_branches), "the student's predictors serve one master"
    assert all(w.grad is None for w in pair.teacher.parameters())


def test_mimicking_trains_the_students_own_predictors(pair, make_batch):
    taps, _ = collect(pair, *make_batch())
    losses = DecoderMimicking().losses(taps)
    assert set(losses) == {"loss_kd_cls", "loss_kd_reg"}
    sum(losses.values()).backward()
    assert reached(pair.student.bbox_head.cls_branches) and reached(pair.student.decoder.layers[2])
    assert all(w.grad is None for w in pair.teacher.parameters())


def test_the_box_term_is_a_weighted_mean_a_layer(pair, make_batch):
    taps, _ = collect(pair, *make_batch())
    loss = DecoderCrossKD().losses(taps)["loss_crosskd_reg"]
    size, expected = torch.tensor([[64.0, 64.0], [40.0, 64.0]])[:, None], 0.0
    for layer in range(3):
        cross = deliver(taps, layer, taps.teacher, taps.student.memory)
        weight = taps.teacher.predictions.cls[layer].sigmoid().amax(-1)
        corners = []
        for boxes in (cross.reg[0], taps.teacher.predictions.reg[layer]):
            centre, half = boxes[..., :2] * size, boxes[..., 2:] * size / 2
            corners.append(torch.cat([centre - half, centre + half], -1))
        gap = (corners[0] - corners[1]).abs().sum(-1)
        expected += float((weight * gap).sum() / (4 * weight.sum()))
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_what_does_not_fit_is_named(beyond_dense, make_pair, pair):
    with pytest.raises(LabError, match="DecoderCrossKD serves decoder heads, not dense ones"):
        Distiller(pair=make_pair(), methods=[DecoderCrossKD()])
    with pytest.raises(LabError, match="serves dense or roi heads, not decoder ones: .*DecoderC"):
        Distiller(pair=pair, methods=[CrossKD()])
    with pytest.raises(LabError, match="'both' is unknown: choose one of memory, query"):
        DecoderCrossKD(delivered="both")
    other = Pair(pair.student, beyond_dense("deformable", num_queries=40))
    with pytest.raises(LabError, match="give both decoders the same"):
        Distiller(pair=other, methods=[DecoderCrossKD()])
