"""Mimicking: CrossKD's terms on the student's own predictions."""

import copy

import pytest

from crosskd_lab.methods.crosskd import PredictionMimicking
from crosskd_lab.pair import Pair


@pytest.mark.parametrize("region", ["teacher_score", "everywhere"])
def test_losses_agree_with_the_oracle(make_pair, batch, losses_of, oracle, region):
    pair = make_pair(4)
    pair.student.eval()
    losses = losses_of(pair, batch, PredictionMimicking(region=region))
    wanted = oracle(pair, batch.inputs, batch.samples, None, region)
    assert set(losses) == {"loss_kd_cls", "loss_kd_reg"}
    for branch in ("cls", "reg"):
        assert losses[f"loss_kd_{branch}"].item() == pytest.approx(wanted[branch].item(), rel=2e-6)


def test_a_copy_of_the_teacher_has_nothing_to_learn(make_detector, batch, losses_of):
    teacher = make_detector(2).eval()
    pair = Pair(copy.deepcopy(teacher).requires_grad_(True), teacher)
    pair.student.eval()
    for value in losses_of(pair, batch, PredictionMimicking()).values():
        assert abs(value.item()) < 1e-6


def test_every_layer_of_the_students_head_is_moved(make_pair, batch, losses_of):
    pair = make_pair()
    sum(losses_of(pair, batch, PredictionMimicking()).values()).backward()
    head = pair.student.bbox_head
    for layer in (*head.cls_convs, *head.reg_convs):
        assert layer.conv.weight.grad.abs().sum() > 0
    assert head.gfl_cls.weight.grad.abs().sum() > 0 and head.gfl_reg.weight.grad.abs().sum() > 0
    assert all(w.grad is None for w in pair.teacher.parameters())


@pytest.mark.parametrize("branch", ["cls", "reg"])
def test_one_branch_leaves_the_others_tower_alone(make_pair, batch, losses_of, branch):
    pair = make_pair()
    losses = losses_of(pair, batch, PredictionMimicking(branches=(branch,)))
    assert set(losses) == {f"loss_kd_{branch}"}
    losses[f"loss_kd_{branch}"].backward()
    head = pair.student.bbox_head
    towers = {"cls": head.cls_convs, "reg": head.reg_convs}
    assert towers.pop(branch)[0].conv.weight.grad.abs().sum() > 0
    (other,) = towers.values()
    assert other[0].conv.weight.grad is None
