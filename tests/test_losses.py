"""Distances and means against numbers worked out by hand."""

import math

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.losses import (
    distribution_kl,
    everywhere,
    giou_distance,
    kd_quality_focal,
    log_iou_distance,
    pearson_distance,
    region_mean,
    teacher_score,
)


def boxes(*xyxy):
    return torch.tensor([xyxy], dtype=torch.float32)


def test_quality_focal_towards_a_soft_label():
    # |0.5 - 0.8| * ln 2
    assert kd_quality_focal(torch.tensor([0.0]), torch.tensor([0.8])).item() == pytest.approx(
        0.207944, abs=1e-6
    )
    # two classes are summed: the second is 0.5 * ln 2 (y = 0)
    both = kd_quality_focal(torch.zeros(1, 2), torch.tensor([[0.8, 0.0]]))
    assert both.tolist() == pytest.approx([0.8 * math.log(2)], abs=1e-6)


def test_quality_focal_is_zero_where_the_logits_are_equal():
    logits = torch.tensor([[-2.0, 0.3, 5.0]])
    assert kd_quality_focal(logits, logits.sigmoid()).item() == pytest.approx(0, abs=1e-6)


def test_without_focus_equal_logits_leave_the_entropy():
    logit = torch.tensor([math.log(4)])
    assert kd_quality_focal(logit, logit.sigmoid(), beta=0).item() == pytest.approx(
        0.500402, abs=1e-6
    )


def test_the_modulating_factor_has_gradient_and_the_soft_label_has_none():
    z = torch.zeros(1, requires_grad=True)
    y = torch.tensor([0.8], requires_grad=True)
    kd_quality_focal(z, y).backward()
    # d/dz of (y - s)(ln 2) at s = 1/2: -s(1-s) ln 2 + (y - s)(s - y)
    assert z.grad.item() == pytest.approx(-0.25 * math.log(2) - 0.09, abs=1e-6)
    assert y.grad is None


@pytest.mark.parametrize(
    ("temperature", "value"),
    [(1.0, 0.130812), (2.0, 2 * 0.0726817), (10.0, 2 * 0.0753209)],
)
def test_kl_of_two_bins(temperature, value):
    # teacher (1/4, 3/4) against (1/2, 1/2); the sheet's T > 1 numbers are means over two bins
    teacher = torch.tensor([0.0, math.log(3)])
    kl = distribution_kl(torch.zeros(2), teacher, temperature)
    # T = 10 multiplies float32's rounding of a KL near 0.0015 by 100
    assert kl.item() == pytest.approx(value, abs=1e-6 if temperature < 10 else 3e-6)


def test_kl_ignores_a_constant_and_sends_no_gradient_to_the_teacher():
    student = torch.tensor([[0.3, -1.0, 2.0]], requires_grad=True)
    teacher = (student.detach() + 7).requires_grad_()
    kl = distribution_kl(student, teacher)
    kl.sum().backward()
    assert kl.item() == pytest.approx(0, abs=1e-6) and teacher.grad is None
    assert student.grad.abs().max() < 1e-6


def test_kl_is_in_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        kl = distribution_kl(torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2).bfloat16())
    assert kl.dtype is torch.float32


def test_kl_refuses_unequal_bins():
    with pytest.raises(LabError, match="reg_max"):
        distribution_kl(torch.zeros(3, 17), torch.zeros(3, 9))


@pytest.mark.parametrize(
    ("student", "teacher", "value"),
    [
        ((8.0, 10, 12, 14), (1.0, 2, 3, 4), 0.0),  # 2 t + 6: any affine map costs nothing
        ((10.0, 13, 16, 19), (1.0, 2, 3, 4), 0.0),  # 3 t + 7
        ((-1.0, -2, -3, -4), (1.0, 2, 3, 4), 1.5),
        ((1.0, 0, 1, 0), (1.0, 1, 0, 0), 0.75),
    ],
)
def test_pearson_distance(student, teacher, value):
    maps = [torch.tensor(m).view(1, 1, 2, 2) for m in (student, teacher)]
    assert pearson_distance(*maps).item() == pytest.approx(value, abs=1e-5)


def test_pearson_statistics_run_over_batch_and_space_and_average_over_channels():
    # the same four numbers as two images of two pixels; a second channel at distance 0
    student = torch.tensor([[-1.0, -2], [-3, -4]]).view(2, 1, 1, 2)
    teacher = torch.tensor([[1.0, 2], [3, 4]]).view(2, 1, 1, 2)
    assert pearson_distance(student, teacher).item() == pytest.approx(1.5, abs=1e-5)
    two = torch.cat([student, teacher], 1), torch.cat([teacher, teacher], 1)
    assert pearson_distance(*two).item() == pytest.approx(0.75, abs=1e-5)


@pytest.mark.parametrize(
    ("a", "b", "value"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 0.0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 2 / 3),  # IoU 2/6, hull equals union
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 - (1 / 7 - 2 / 9)),  # hull 9, union 7
        ((0, 0, 1, 1), (3, 0, 4, 1), 1.5),  # apart: 1 - (0 - 2/4)
    ],
)
def test_giou(a, b, value):
    assert giou_distance(boxes(*a), boxes(*b)).item() == pytest.approx(value, abs=1e-6)


def test_a_box_turned_inside_out_has_no_area():
    turned, sound = boxes([8, 8, 2, 2]), boxes([0, 0, 10, 10])
    assert giou_distance(turned, sound).item() == pytest.approx(1, abs=1e-6)
    assert giou_distance(boxes([8, 0, 2, 10]), sound).item() == pytest.approx(1, abs=1e-6)
    assert giou_distance(turned, turned).item() == pytest.approx(1, abs=1e-6)
    assert log_iou_distance(turned, sound).isfinite()


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [((0, 0, 2, 2), (0, 0, 2, 2), 1), ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3)],
)
def test_log_iou(a, b, iou):
    assert log_iou_distance(boxes(*a), boxes(*b)).item() == pytest.approx(-math.log(iou), abs=1e-6)


def test_boxes_without_area_or_overlap_stay_finite():
    for distance in (giou_distance, log_iou_distance):
        for a in ((5, 5, 5, 5), (9, 9, 1, 1), (50, 50, 60, 60)):
            assert torch.isfinite(distance(boxes(*a), boxes(0, 0, 2, 2))).all()


def test_regions_are_ones_and_the_best_score():
    logits = torch.tensor([[[0.0, math.log(4)], [-50.0, -50.0]]], requires_grad=True)
    assert everywhere(logits).tolist() == [[1, 1]]
    score = teacher_score(logits)
    assert score[0].tolist() == pytest.approx([0.8, 0.0], abs=1e-6)
    assert not score.requires_grad


def test_region_mean_by_hand_and_for_an_empty_region():
    distance, weight = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.5, 0.0])
    assert region_mean(distance, weight, 4).item() == pytest.approx(0.5, abs=1e-6)
    assert region_mean(distance, torch.zeros(3), torch.tensor(0.0)).item() == 0


@pytest.mark.parametrize("score", [0.01, 0.6, 1.0])
def test_gfl_box_case_of_two_bins_for_any_weight(score):
    # 4 * sum w * mean over edges of KL / sum w = sum over four edges of 0.130812
    bins = torch.tensor([0.0, math.log(3)]).expand(1, 1, 4, 2)
    distance = distribution_kl(torch.zeros(1, 1, 4, 2), bins).mean(-1)
    weight = torch.full((1, 1), score)
    loss = 4 * region_mean(distance, weight, weight.sum())
    assert loss.item() == pytest.approx(0.523248, rel=2e-5 if score < 0.1 else 1e-6)
