"""CrossKD's and mimicking's losses against the oracle, and where their gradient goes."""

import copy

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.pair import Pair


@pytest.mark.parametrize("region", ["teacher_score", "everywhere"])
@pytest.mark.parametrize("i", range(5))
def test_losses_agree_with_the_oracle(make_pair, batch, losses_of, oracle, i, region):
    pair = make_pair(4)
    pair.student.eval()  # the same statistics in both passes
    losses = losses_of(pair, batch, CrossKD(i=i, region=region))
    wanted = oracle(pair, batch.inputs, batch.samples, i, region)
    assert set(losses) == {"loss_crosskd_cls", "loss_crosskd_reg"}
    for branch in ("cls", "reg"):
        got, truth = losses[f"loss_crosskd_{branch}"].item(), wanted[branch].item()
        assert truth > 1e-3
        assert got == pytest.approx(truth, rel=2e-6), branch


def test_gradients_agree_with_the_oracle(make_pair, batch, losses_of, oracle):
    pair = make_pair(4)
    pair.student.eval()
    conv = pair.student.bbox_head.cls_convs[1].conv.weight
    got = torch.autograd.grad(losses_of(pair, batch, CrossKD())["loss_crosskd_cls"], conv)[0]
    wanted = torch.autograd.grad(oracle(pair, batch.inputs, batch.samples, 3)["cls"], conv)[0]
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-6 * wanted.abs().max().item())


@pytest.mark.parametrize("tap", ["post_relu", "pre_relu"])
@pytest.mark.parametrize("i", range(5))
def test_a_copy_of_the_teacher_has_nothing_to_learn(make_detector, batch, losses_of, i, tap):
    teacher = make_detector(2).eval()
    pair = Pair(copy.deepcopy(teacher).requires_grad_(True), teacher)
    pair.student.eval()
    for name, value in losses_of(pair, batch, CrossKD(i=i), tap=tap).items():
        assert 0 <= value.item() + 1e-6 < 1e-4, name


@pytest.mark.parametrize("branch", ["cls", "reg"])
def test_one_branch_gives_its_own_term_alone(make_pair, batch, losses_of, branch):
    pair = make_pair()
    pair.student.eval()
    both = losses_of(pair, batch, CrossKD())
    alone = losses_of(pair, batch, CrossKD(branches=(branch,)))
    name = f"loss_crosskd_{branch}"
    assert set(alone) == {name} and alone[name].item() == both[name].item()


@pytest.mark.parametrize("method", [CrossKD, PredictionMimicking])
@pytest.mark.parametrize(("branch", "terms"), [("cls", {"cls"}), ("reg", {"reg", "centerness"})])
def test_centerness_goes_with_the_branch_that_it_is_read_from(tapped, method, branch, terms):
    pair, taps = tapped("ATSSHead")
    method = method(branches=(branch,))
    method.attach(pair.student_head, pair.teacher_head)
    assert set(method.losses(taps)) == {f"loss_{method.name}_{term}" for term in terms}


@pytest.mark.parametrize(
    ("align", "said"),
    [
        (dict(type="nope.Conv"), "align's type is 'nope.Conv'"),
        (dict(type=dict), "align's type is"),
        (dict(foo=1), "align: .*foo"),
    ],
)
def test_an_alignment_that_cannot_be_built_is_named(make_pair, batch, losses_of, align, said):
    with pytest.raises(LabError, match=said):
        losses_of(make_pair(), batch, CrossKD(align=align))


@pytest.mark.parametrize("region", ["teacher_score", "everywhere"])
def test_mimickings_losses_agree_with_the_oracle(make_pair, batch, losses_of, oracle, region):
    pair = make_pair(4)
    pair.student.eval()
    losses = losses_of(pair, batch, PredictionMimicking(region=region))
    wanted = oracle(pair, batch.inputs, batch.samples, None, region)
    assert set(losses) == {"loss_kd_cls", "loss_kd_reg"}
    for branch in ("cls", "reg"):
        assert losses[f"loss_kd_{branch}"].item() == pytest.approx(wanted[branch].item(), rel=2e-6)


def test_a_copy_of_the_teacher_has_nothing_to_mimic(make_detector, batch, losses_of):
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
