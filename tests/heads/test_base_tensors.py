"""What targets and taps say of themselves, by hand."""

import math

import pytest
import torch

from crosskd_lab.heads.base import HeadTaps, Predictions, Targets


@pytest.fixture
def targets():
    """Four priors on two levels: a corner, a middle, one outside its box, and background."""
    return Targets(
        labels=torch.tensor([[1, 0, 0, 2]]),
        label_weights=torch.tensor([[1.0, 1, 0, 1]]),
        boxes=torch.tensor([[[0.0, 0, 16, 8], [0, 0, 24, 8], [0, 0, 8, 8], [0, 0, 0, 0]]]),
        num_pos=3.0,
        num_classes=2,
        centres=torch.tensor([[4.0, 4], [12, 4], [20, 4], [28, 4]]),
    )


def test_centerness_of_each_location(targets):
    assert targets.positive.tolist() == [[True, True, True, False]]
    assert targets.centerness[0].tolist() == pytest.approx([math.sqrt(4 / 12), 1, 0, 0])


def test_targets_at_some_levels_keep_the_count_of_all(targets):
    second = targets.at_levels([1], [3, 1])
    assert second.labels.tolist() == [[2]] and second.boxes.shape == (1, 1, 4)
    assert second.centres.tolist() == [[28, 4]] and second.num_pos == 3
    assert targets.at_levels([0], [3, 1]).label_weights.tolist() == [[1, 1, 0]]


def test_taps_at_some_levels():
    maps = tuple(torch.full((1, 1, 1, 1), float(level)) for level in range(3))
    taps = HeadTaps(maps, {"cls": (maps, maps), "reg": (maps,)}, Predictions(maps, maps, None))
    part = taps.at_levels([2, 0])
    assert [m.item() for m in part.neck] == [2, 0]
    assert [[m.item() for m in f] for f in part.towers["cls"]] == [[2, 0], [2, 0]]
    assert part.predictions.reg == (maps[2], maps[0]) and part.predictions.centerness is None
