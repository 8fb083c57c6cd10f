"""Faster R-CNN: stock's own step, the teacher at the student's RoIs, and eq. (2) between layers."""

import copy

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.errors import LabError
from crosskd_lab.heads import adapter_of
from crosskd_lab.heads.base import Predictions
from crosskd_lab.heads.roi import RoIAdapter
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.pair import Pair
from crosskd_lab.taps import collect


@pytest.fixture
def pair(beyond_dense):
    return Pair(beyond_dense("faster", 0), beyond_dense("faster", 1))


@pytest.fixture
def twins(beyond_dense):
    student = beyond_dense("faster", 0)
    return Pair(student, copy.deepcopy(student))


def test_the_losses_are_stock_to_the_bit(pair, make_batch):
    stock = copy.deepcopy(pair.student)
    inputs, samples = make_batch()
    torch.manual_seed(3)  # the samplers draw
    _, ours = collect(pair, inputs, samples)
    torch.manual_seed(3)
    theirs = stock.loss(inputs, samples)
    assert set(ours) == set(theirs) == {
        "loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox", "acc"
    }  # fmt: skip
    for name, value in theirs.items():
        values = value if isinstance(value, list) else [value]
        mine = ours[name] if isinstance(value, list) else [ours[name]]
        assert all(torch.equal(a, b) for a, b in zip(mine, values, strict=True)), name


def test_the_walk_is_the_heads_own_forward(pair, make_batch):
    taps, _ = collect(pair, *make_batch())
    for side, detector in ((taps.student, pair.student), (taps.teacher, pair.teacher)):
        cls, reg = detector.roi_head.bbox_head(side.towers["cls"][0][0])
        assert torch.equal(side.predictions.cls[0], cls)
        assert torch.equal(side.predictions.reg[0], reg)
    first = taps.student.towers["cls"][1][0]
    assert first.shape[1:] == (192, 1, 1)
    assert first.min() >= 0


def test_both_look_at_the_students_rois_and_these_carry_no_gradient(pair, make_batch):
    taps, _ = collect(pair, *make_batch())
    assert torch.equal(taps.student.rois, taps.teacher.rois)
    assert not taps.student.rois.requires_grad
    assert taps.student.rois[:, 0].unique().tolist() == [0, 1]
    pooled = pair.teacher.roi_head.bbox_roi_extractor(taps.teacher.neck[:4], taps.student.rois)
    assert torch.equal(taps.teacher.towers["reg"][0][0], pooled)


@pytest.mark.parametrize("i", [0, 1, 2])
def test_a_student_that_is_its_teacher_crosses_to_the_teachers_predictions(twins, make_batch, i):
    taps, _ = collect(twins, *make_batch())
    cross = taps.cross(i)
    torch.testing.assert_close(cross.cls, taps.teacher.predictions.cls, rtol=0, atol=1e-5)
    torch.testing.assert_close(cross.reg, taps.teacher.predictions.reg, rtol=0, atol=1e-5)


def test_targets_are_the_samplers(pair, make_batch):
    taps, _ = collect(pair, *make_batch())
    targets = taps.targets
    count = len(taps.student.rois)
    assert targets.labels.shape == (1, count) and targets.num_pos == count
    assert targets.positive.any(), "ground truth is sampled too"
    found = targets.boxes[targets.positive].tolist()
    truth = [b for gt in taps.gt_instances for b in gt.bboxes.tolist()]
    assert all(box in truth for box in found)
    assert not targets.boxes[~targets.positive].any()


def test_no_ground_truth_gives_background_only(pair, make_batch):
    taps, losses = collect(pair, *make_batch([[], []]))
    assert not taps.targets.positive.any()
    assert losses["loss_bbox"] == 0


@pytest.fixture
def head(beyond_dense):
    return adapter_of(beyond_dense("faster", **{"roi_head.bbox_head.num_classes": 2}))


def test_class_distance_by_hand(head):
    teacher = Predictions((torch.tensor([[3.0, 0.0, 0.0]]),), ())
    said = Predictions((torch.zeros(1, 3),), ())
    # softmax((1, 0, 0)) = (.57612, .21194, .21194) against thirds: 9 * KL = 1.10956
    assert head.cls_distance(said, teacher).tolist() == [[pytest.approx(1.10956, abs=1e-5)]]
    assert head.cls_distance(teacher, teacher).item() == 0


def test_box_distance_is_of_the_teachers_best_foreground_class(head):
    teacher = Predictions((torch.tensor([[0.0, 2.0, 9.0]]),), (torch.zeros(1, 8),))
    said = Predictions((torch.zeros(1, 3),), (torch.tensor([[7.0] * 4 + [1.0, 1.0, 3.0, -3.0]]),))
    assert head.reg_distance(said, teacher, []).tolist() == [[2.0]]  # background is no choice


def test_scores_are_the_softmax_without_background(head):
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    found = head.flat_cls(Predictions((logits,), ())).sigmoid()
    torch.testing.assert_close(found, logits.softmax(-1)[None, :, :2])


def test_heads_that_code_boxes_otherwise_are_not_mimicked(beyond_dense):
    agnostic = beyond_dense("faster", **{"roi_head.bbox_head.reg_class_agnostic": True})
    pair = Pair(beyond_dense("faster"), agnostic)
    with pytest.raises(LabError, match="code boxes differently.*reg_class_agnostic"):
        Distiller(pair=pair, methods=[PredictionMimicking()])
    Distiller(pair=pair, methods=[CrossKD()])


def test_a_head_with_other_layers_is_refused(beyond_dense):
    detector = beyond_dense("faster", **{"roi_head.bbox_head.type": "Shared4Conv1FCBBoxHead"})
    with pytest.raises(LabError, match="Shared4Conv1FCBBoxHead is no Shared2FCBBoxHead"):
        RoIAdapter(detector)


def test_scores_by_sigmoid_are_refused(beyond_dense):
    loss = dict(type="CrossEntropyLoss", use_sigmoid=True)
    with pytest.raises(LabError, match="does not score classes by softmax: set use_sigmoid=False"):
        adapter_of(beyond_dense("faster", **{"roi_head.bbox_head.loss_cls": loss}))
