"""LD by hand, with two bins in place of seventeen."""

import math
from dataclasses import replace

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.heads.base import Predictions
from crosskd_lab.methods import ld as module
from crosskd_lab.methods.ld import LD, around_positives, atss_threshold, diou, valuable_region


@pytest.fixture
def one_cell(hand):
    """One prior, three classes; the student's best score is 0.6, all four edges are equal."""

    def taps(student_bins, teacher_bins, positive=(0,), teacher_scores=(0.6, 0.1, 0.1)):
        maps = hand(
            torch.zeros(1, 1, 1, 1),
            torch.zeros(1, 1, 1, 1),
            positive=positive,
            edge_bins=lambda reg: reg[0].flatten(2).mT.unflatten(-1, (4, -1)),
        )
        says = []
        for bins, scores in ((student_bins, (0.6, 0.1, 0.1)), (teacher_bins, teacher_scores)):
            reg = torch.tensor(bins, dtype=torch.float32).repeat(4).reshape(1, -1, 1, 1)
            cls = torch.tensor(scores).logit().reshape(1, -1, 1, 1)
            says.append(Predictions((cls.requires_grad_(),), (reg.requires_grad_(),)))
        return replace(
            maps,
            student=replace(maps.student, predictions=says[0]),
            teacher=replace(maps.teacher, predictions=says[1]),
        )

    return taps


def test_one_positive(one_cell):
    taps = one_cell((0, 0), (0, math.log(3)))
    losses = LD().losses(taps)
    alone = 2  # what an image weighs by itself, where two make the published batch
    assert losses["loss_ld_main"].item() / alone == pytest.approx(0.0112981, abs=1e-7)
    assert losses["loss_ld_vlr"].item() == 0 and losses["loss_ld_cls"].item() == 0
    shown = LD().region_map(taps)[0]
    assert shown.item() == pytest.approx(0.25 / 4 * 0.6)


def test_the_valuable_region_weighs_by_iou(one_cell, monkeypatch):
    monkeypatch.setattr(module, "around_positives", lambda *_: torch.full((1, 1), 0.5))
    taps = one_cell((0, 0), (0, math.log(3)), positive=())
    losses = LD().losses(taps)
    assert losses["loss_ld_vlr"].item() / 2 == pytest.approx(0.00235378, abs=1e-7)
    assert losses["loss_ld_main"].item() == 0
    assert LD().region_map(taps)[0].item() == pytest.approx(0.25 / 16 * 0.5)
    assert set(LD(vlr=0, cls=0).losses(taps)) == {"loss_ld_main"}


def test_bins_are_free_of_a_constant(one_cell):
    losses = LD().losses(one_cell((1, 3), (5, 7)))
    assert losses["loss_ld_main"].item() == pytest.approx(0, abs=1e-6)


def test_the_class_term(one_cell):
    taps = one_cell((0, 0), (0, 0), teacher_scores=(0.3, 0.2, 0.4))
    z, t = (torch.tensor(s).double().logit() / 2 for s in ((0.6, 0.1, 0.1), (0.3, 0.2, 0.4)))
    p, q = t.softmax(0), z.softmax(0)
    expected = 10 * 4 / 80 * (p * (p / q).log()).sum().item()
    assert LD().losses(taps)["loss_ld_cls"].item() == pytest.approx(expected, rel=1e-5)


def test_the_student_score_is_a_weight_and_no_target(one_cell):
    taps = one_cell((0, 0), (0, math.log(3)))
    LD().losses(taps)["loss_ld_main"].backward()
    assert taps.student.predictions.cls[0].grad is None
    assert taps.student.predictions.reg[0].grad.abs().sum() > 0
    assert taps.teacher.predictions.reg[0].grad is None


def test_heads_without_distributions_and_other_bins_are_refused(one_cell, tapped):
    with pytest.raises(LabError, match="the student's RetinaHead predicts plain boxes: use GFL"):
        LD().losses(tapped("RetinaHead")[1])
    with pytest.raises(LabError, match="both heads need the same reg_max"):
        LD().losses(one_cell((0, 0), (0, 0, 0)))
    with pytest.raises(LabError, match="choose one of union, prior"):
        LD(area="hull")


def grid(side, stride, size):
    """Square priors of ``size`` pixels centred on multiples of the stride."""
    at = stride * torch.arange(side).float()
    y, x = torch.meshgrid(at, at, indexing="ij")
    centre = torch.stack([x, y], -1).reshape(-1, 2)
    return torch.cat([centre - size / 2, centre + size / 2], 1)


@pytest.mark.parametrize(("area", "expected"), [("union", 0.256410), ("prior", 0.423077)])
def test_diou_by_hand(area, expected):
    prior, box = torch.tensor([[4.0, 0.0, 12.0, 8.0]]), torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    assert diou(prior, box, area).item() == pytest.approx(expected, abs=1e-6)


def test_atss_takes_the_nearest_of_each_level():
    priors = torch.tensor([[0.0, 0, 8, 8], [8, 0, 16, 8], [0, 0, 16, 16.0]])
    box = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    overlaps = torch.tensor([[1.0], [0.0], [0.25]])
    # one a level: IoU 1 and 0.25, mean 0.625, unbiased deviation 0.75 / sqrt(2)
    threshold = atss_threshold(overlaps, priors, box, [2, 1], topk=1)
    assert threshold.item() == pytest.approx(0.625 + 0.75 / 2**0.5)


@pytest.mark.parametrize(("area", "size"), [("union", 48), ("prior", 84)])
def test_the_valuable_region_of_one_box(area, size):
    priors, box = grid(16, 8, 64), torch.tensor([[32.0, 32.0, 96.0, 96.0]])
    iou = torch.ones(1)
    region = valuable_region(priors, box, [256], area=area)
    assert (region > 0).sum() == size
    exact = (priors == box).all(1)
    assert exact.sum() == 1 and not region[exact].any()  # the positive is not in it
    assert region.max() < iou


def test_the_threshold_of_that_box():
    from mmdet.structures.bbox import bbox_overlaps

    priors, box = grid(16, 8, 64), torch.tensor([[32.0, 32.0, 96.0, 96.0]])
    threshold = atss_threshold(bbox_overlaps(priors, box), priors, box, [256])
    assert threshold.item() == pytest.approx(0.8600, abs=5e-5)


def test_two_boxes_leave_the_larger_overlap():
    priors = grid(16, 8, 64)
    boxes = torch.tensor([[32.0, 32.0, 96.0, 96.0], [40.0, 32.0, 104.0, 96.0]])
    alone = [valuable_region(priors, box[None], [256]) for box in boxes]
    both = valuable_region(priors, boxes, [256])
    assert torch.equal(both, torch.maximum(*alone))


def test_no_box_has_no_valuable_region():
    assert valuable_region(grid(2, 8, 8), torch.zeros(0, 4), [4]).tolist() == [0, 0, 0, 0]


def test_the_valuable_region_skips_priors_outside_the_image(hand):
    taps = hand(torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16), [[32, 32, 96, 96]], side=64)
    assert (around_positives(taps) > 0).sum() == 48
    taps.targets.label_weights.zero_()
    assert not around_positives(taps).any()
