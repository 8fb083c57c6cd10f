"""Alignment and delivery by hand, and the identity: a copy of the teacher repeats it."""

import pytest
import torch

from crosskd_lab.cross_head import align_nothing, align_statistics, cross_head, deliver
from crosskd_lab.errors import LabError


def pixels(*values):
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_alignment_gives_the_teachers_mean_and_deviation():
    aligned = align_statistics(pixels(0, 2), pixels(10, 14))
    assert aligned.flatten().tolist() == pytest.approx([10, 14], abs=1e-5)


def test_delivery_rectifies_above_the_neck_only():
    student, teacher = (pixels(0, 0, 3),), (pixels(-1, 0, 1),)
    (f0,) = deliver(student, teacher, 0)
    assert f0.flatten().tolist() == pytest.approx([-0.57735, -0.57735, 1.154701], abs=1e-5)
    (f3,) = deliver(student, teacher, 3)
    assert f3.flatten().tolist() == pytest.approx([0, 0, 1.154701], abs=1e-5)


def test_channels_are_aligned_apart():
    student = torch.cat([pixels(0, 2), pixels(5, 7)], 1)
    teacher = torch.cat([pixels(10, 14), pixels(-1, 1)], 1)
    assert align_statistics(student, teacher).flatten().tolist() == pytest.approx(
        [10, 14, -1, 1], abs=1e-5
    )


def test_gradient_flows_through_the_students_statistics_and_not_to_the_teacher():
    student, teacher = pixels(0, 2).requires_grad_(), pixels(10, 14).requires_grad_()
    align_statistics(student, teacher)[..., 0].sum().backward()
    # two pixels always land on the teacher's two values: moving either changes nothing
    assert student.grad.abs().max() < 1e-4 and teacher.grad is None


def test_no_alignment_delivers_the_feature_itself():
    student = pixels(-1, 4)
    assert align_nothing(student, pixels(0, 9)) is student
    assert deliver((student,), (pixels(0, 9),), 2, "none")[0].flatten().tolist() == [0, 4]


def test_unknown_alignment_and_unequal_maps_are_named():
    with pytest.raises(LabError, match="align = 'whiten'.*statistics, none"):
        deliver((pixels(1),), (pixels(1),), 0, "whiten")
    with pytest.raises(LabError, match=r"\(1, 1, 1, 2\) and \(1, 1, 1, 3\)"):
        align_statistics(pixels(1, 2), pixels(1, 2, 3))


def test_a_single_value_takes_the_teachers():
    single = torch.tensor([4.0]).view(1, 1, 1, 1).requires_grad_()
    aligned = align_statistics(single, torch.tensor([-3.0]).view(1, 1, 1, 1))
    aligned.sum().backward()
    assert aligned.item() == -3 and single.grad.item() == 0


def test_one_branch_only_and_layers_out_of_range(make_pair, make_batch):
    pair = make_pair()
    neck = pair.teacher.extract_feat(make_batch()[0])
    taps = pair.teacher_head.forward_towers(neck)
    crossed = cross_head(pair.teacher_head, taps.towers, taps.towers, 3, branches=("reg",))
    assert crossed.cls == () and len(crossed.reg) == 5
    for i in (-1, 5):
        with pytest.raises(LabError, match=rf"i = {i} .*0 \.\.\. 4"):
            cross_head(pair.teacher_head, taps.towers, taps.towers, i)
