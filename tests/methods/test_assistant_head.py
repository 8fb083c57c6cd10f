"""HEAD's assistant: a trained copy of the teacher's head on the student's neck."""

from dataclasses import replace

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.errors import LabError
from crosskd_lab.heads.base import BRANCHES
from crosskd_lab.methods.assistant_head import AssistantHead
from crosskd_lab.pair import Pair

FAMILIES = ("GFLHead", "RetinaHead", "FCOSHead", "ATSSHead")


def attached(pair, **given):
    method = AssistantHead(**given)
    method.attach(pair.student_head, pair.teacher_head)
    return method


def test_the_assistant_begins_with_the_teachers_classes_in_the_students_order(make_detector):
    names = ("disc", "ring", "star")
    pair = Pair(make_detector(0), make_detector(0), classes=(names, names[::-1]))
    with torch.no_grad():
        pair.teacher.bbox_head.gfl_cls.bias.copy_(torch.arange(3.0))
    reader = attached(pair).reader
    neck = [torch.zeros(1, 16, 2, 2) for _ in reader.strides]
    for head in (reader, pair.teacher_head):
        scores = head.forward_towers(neck).predictions.cls[0]
        assert scores.mean((0, 2, 3)).diff().sign().tolist() == [-1, -1], "from last to first"


@pytest.mark.parametrize("head", FAMILIES)
def test_its_detection_losses_are_the_teachers_heads_own_on_the_students_neck(tapped, head):
    pair, taps = tapped(head)
    losses = attached(pair, detection=0.5).losses(taps)
    teacher = pair.teacher.bbox_head
    outputs = teacher(taps.student.neck)
    stock = teacher.loss_by_feat(*outputs, list(taps.gt_instances), list(taps.metas))
    for name, value in stock.items():
        whole = sum(value) if isinstance(value, list) else value
        mine = losses[name.replace("loss_", "loss_assistant_")]
        assert mine.item() == pytest.approx(0.5 * whole.item(), rel=1e-5)
    assert len(losses) == len(stock) + 2


def test_imitation_is_the_mean_squared_difference_of_the_last_hidden_features(tapped):
    pair, taps = tapped()
    losses = attached(pair, weight=3.0).losses(taps)
    teacher = pair.teacher.bbox_head
    for branch in BRANCHES:
        squares, count = 0.0, 0
        for mine, theirs in zip(taps.student.neck, taps.teacher.neck, strict=True):
            for layer in teacher.cls_convs if branch == "cls" else teacher.reg_convs:
                mine, theirs = layer(mine), layer(theirs)
            squares += (mine - theirs).square().sum().item()
            count += mine.numel()
        said = losses[f"loss_assistant_{branch}_feature"].item()
        assert said == pytest.approx(3 * squares / count, rel=1e-4)


def test_a_student_whose_neck_is_the_teachers_leaves_nothing_to_imitate(tapped):
    pair, taps = tapped()
    losses = attached(pair).losses(replace(taps, student=taps.teacher))
    assert all(losses[f"loss_assistant_{branch}_feature"] == 0 for branch in BRANCHES)
    assert losses["loss_assistant_cls"] > 0  # the annotations are another matter


def test_it_teaches_neck_and_assistant_and_nothing_else(tapped):
    pair, taps = tapped()
    method = attached(pair)
    before = {k: v.clone() for k, v in pair.teacher.state_dict().items()}
    sum(method.losses(taps).values()).backward()
    assert all(p.grad is not None for p in pair.student.neck.parameters())
    assert all(p.grad is None for p in pair.student.bbox_head.parameters())
    assert all(p.grad is None for p in pair.teacher.parameters())
    trained = [name for name, p in method.named_parameters() if p.grad is not None]
    assert any("assistant" in name for name in trained) and any("adapters" in n for n in trained)
    assert all(torch.equal(v, pair.teacher.state_dict()[k]) for k, v in before.items())


def test_the_student_is_saved_without_it(tapped):
    pair, _ = tapped()
    distiller = Distiller(pair=pair, methods=[AssistantHead()])
    assert any(name.startswith("methods.0.assistant") for name in distiller.state_dict())
    own = {k for k in distiller.state_dict() if not k.startswith("methods.")}
    assert own == set(pair.student.state_dict())


@pytest.mark.parametrize("boxes", [([], []), ([[6, 8, 40, 44]], [])])
def test_images_without_objects(tapped, boxes):
    pair, taps = tapped(boxes=boxes)
    losses = attached(pair).losses(taps)
    assert all(value.isfinite() for value in losses.values())
    assert losses["loss_assistant_cls_feature"] > 0


def test_bf16(tapped):
    pair, taps = tapped()
    with torch.autocast("cpu", torch.bfloat16):
        losses = attached(pair).losses(taps)
    assert all(value.isfinite() for value in losses.values())


def test_what_it_cannot_serve(tapped):
    pair, taps = tapped()
    with pytest.raises(LabError, match="attach it to a pair"):
        AssistantHead().losses(taps)
    other = type("Other", (), {"channels": lambda *_: 32})()
    with pytest.raises(LabError, match="same out_channels"):
        AssistantHead().attach(other, pair.teacher_head)
