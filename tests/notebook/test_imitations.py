"""Notebook 11's pictures, shares and costs come from the methods themselves."""

from __future__ import annotations

import time

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.methods import METHODS
from crosskd_lab.notebook.cards import COSTS
from crosskd_lab.notebook.imitations import (
    OPERATIONS,
    check_region,
    cost_shares,
    lineup,
    shares_table,
    two_methods,
)
from crosskd_lab.notebook.students import Held


@pytest.fixture(scope="module")
def held(student, batch):
    return Held(student.pair, [batch], "just now")


def test_the_lineup_is_table_5_and_what_it_trains_starts_alike(held):
    methods = lineup(held)
    assert list(methods) == list(METHODS)
    assert all(type(methods[name]) is kind for name, kind in METHODS.items())
    for mine, again in zip(
        methods["fgd"].parameters(), lineup(held, ["fgd"])["fgd"].parameters(), strict=True
    ):
        assert torch.equal(mine, again)


def test_two_methods_on_the_same_images_swap_within_a_tenth_of_a_second(held):
    names = ("inside_gt", "gid", "pkd")
    widget = two_methods(held, "gid", "pkd", 2, names)
    assert set(widget.pictures) == {(image, name) for image in (0, 1) for name in names}
    assert len(set(widget.pictures.values())) == 6
    assert "General Instance Distillation" in widget.texts[0].value
    assert "<table>" in widget.texts[0].value, "the card is drawn, not its Markdown"
    began = time.perf_counter()
    widget.menus[0].value = "inside_gt"
    assert time.perf_counter() - began < 0.1
    assert "General Instance" not in widget.texts[0].value


def test_a_row_a_method(held):
    table = shares_table(held, ("inside_gt", "pkd"))
    assert list(table.index) == ["inside_gt", "pkd"]
    assert table.loc["inside_gt", "weight inside boxes, %"] > 90
    assert table.loc["pkd", "locations with weight, %"] == 100


def test_costs_are_shares_of_the_student_s_step(tmp_path):
    with pytest.raises(LabError, match="method_costs.csv is not there: python benchmarks/methods"):
        cost_shares(tmp_path)
    (tmp_path / COSTS).write_text(
        "method,device,ms,own_ms,own_mb\n"
        "none,cpu,50,-9,0\nkd,cpu,60,5,2\nfgd,cpu,62,8,4\nkd,cuda,1,1,1\n"
    )
    with pytest.raises(LabError, match="python benchmarks/operations.py"):
        cost_shares(tmp_path)
    (tmp_path / OPERATIONS).write_text(
        "method,mmac,moved_mb,calls,own_mmac,own_moved_mb,own_calls\n"
        "none,200,80,1000,0,0,0\nkd,0,0,0,0,20,30\nfgd,0,0,0,1,4,500\n"
    )
    table = cost_shares(tmp_path)
    assert list(table.index) == ["fgd", "kd"], "dearest first, and methods alone"
    assert table.loc["kd"].tolist() == [5, 2, 10, 0, 25, 3]
    assert table.loc["fgd"].tolist() == [8, 4, 16, 0.5, 5, 50]


def right(boxes, height, width):
    mask = torch.zeros(height, width)
    for left, top, right, bottom in boxes.int().tolist():
        part = mask[top : bottom + 1, left : right + 1]
        part.clamp_(min=1 / ((right - left + 1) * (bottom - top + 1)))
    return mask


def ones(boxes, height, width):
    return (right(boxes, height, width) > 0).float()


def last_wins(boxes, height, width):
    mask = torch.zeros(height, width)
    for left, top, right, bottom in reversed(boxes.int().tolist()):
        mask[top : bottom + 1, left : right + 1] = 1 / ((right - left + 1) * (bottom - top + 1))
    return mask


@pytest.mark.parametrize(
    ("region", "said"),
    [
        (right, "Right: "),
        (ones, "one box of 2 by 3 cells, cell (1, 1) has 1 and not 0.167"),
        (last_wins, "a small box inside a large one, cell (2, 2)"),
        (lambda b, h, w: torch.zeros(w, h), "has the shape (8, 6), not (6, 8)"),
        (lambda b, h, w: None, "raised"),
    ],
)
def test_the_judge_of_the_region(region, said):
    assert said in check_region(region)
