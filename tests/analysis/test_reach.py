"""A loss reaches the layers that it was computed through, and no others."""

import types

import pytest
import torch
from torch import nn

from crosskd_lab.gradients import PREDICTORS, layers_of, reach


@pytest.fixture
def pair():
    """A chain of scalar layers: backbone, neck, two hidden convs a tower, two predictors."""
    torch.manual_seed(0)
    conv = lambda: nn.Conv2d(1, 1, 1, bias=False)  # noqa: E731
    head = nn.Module()
    head.cls_convs, head.reg_convs = (
        nn.ModuleList([conv(), conv()]),
        nn.ModuleList([conv(), conv()]),
    )
    head.cls, head.reg = conv(), conv()
    student = nn.Module()
    student.backbone, student.neck, student.bbox_head = conv(), conv(), head
    towers = {"cls": head.cls_convs, "reg": head.reg_convs}
    adapter = types.SimpleNamespace(
        head=head, strides=(8, 16), tower=lambda branch, level: list(towers[branch])
    )
    return types.SimpleNamespace(student=student, student_head=adapter)


def test_layers_are_filed_once_and_in_order(pair):
    parts = layers_of(pair.student, pair.student_head)
    assert list(parts) == ["backbone", "neck", "cls 1", "cls 2", "reg 1", "reg 2", PREDICTORS]
    assert [len(own) for own in parts.values()] == [1, 1, 1, 1, 1, 1, 2]
    everything = [id(p) for own in parts.values() for p in own]
    assert sorted(everything) == sorted(id(p) for p in pair.student.parameters())
    pair.student.backbone.requires_grad_(False)
    assert layers_of(pair.student, pair.student_head)["backbone"] == []


def test_norms_by_hand(pair):
    head = pair.student.bbox_head
    with torch.no_grad():
        for weight, value in zip(pair.student.parameters(), (2, 3, 5, 7, 1, 1, 1, 1), strict=True):
            weight.fill_(value)
    x = torch.ones(1, 1, 1, 1)
    f_1 = head.cls_convs[0](pair.student.neck(pair.student.backbone(x)))  # 2 * 3 * 5
    frame = reach(pair, f_1.sum()).set_index("part")["norm"]
    assert frame["backbone"] == 15 and frame["neck"] == 10 and frame["cls 1"] == 6
    assert (frame[["cls 2", "reg 1", "reg 2", PREDICTORS]] == 0).all()
