"""Draws: what image and augmentation training sees at a step depends on nothing but its number."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from crosskd_lab.errors import LabError
from crosskd_lab.training import draws
from crosskd_lab.training.draws import Draws, DrawSampler


class Noisy:
    """Seven items, each with random numbers of both generators that transforms draw from."""

    metainfo = {"classes": ("a",)}

    def __init__(self, size: int = 7) -> None:
        self.size = size

    def full_init(self) -> None:
        pass

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[int, float, float]:
        return index, float(np.random.rand()), random.random()  # noqa: NPY002


def sampler(monkeypatch: pytest.MonkeyPatch, rank: int, world: int, start: int = 0) -> DrawSampler:
    """A sampler as process ``rank`` of ``world`` builds it."""
    monkeypatch.setattr(draws, "get_dist_info", lambda: (rank, world))
    made = DrawSampler(Noisy())
    made.start = start
    return made


def first(numbers: Any, count: int) -> list[int]:
    return list(islice(iter(numbers), count))


def test_an_epoch_is_a_permutation_and_the_next_another():
    data = Draws(Noisy(), seed=5)
    epochs = [[data[draw][0] for draw in range(7 * e, 7 * e + 7)] for e in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    other = Draws(Noisy(), seed=6)
    assert [other[draw][0] for draw in range(7)] != epochs[0]


def test_a_draw_is_the_same_whatever_came_before():
    ordered = [Draws(Noisy(), seed=1)[draw] for draw in range(20)]
    data = Draws(Noisy(), seed=1)
    np.random.seed(99)  # noqa: NPY002
    random.seed(99)
    assert [data[draw] for draw in reversed(range(20))] == ordered[::-1]
    assert len({value for _, value, _ in ordered}) == 20  # an image is augmented anew each time


def test_two_processes_share_the_draws_of_one(monkeypatch):
    one = first(sampler(monkeypatch, 0, 1), 12)
    halves = [first(sampler(monkeypatch, rank, 2), 6) for rank in range(2)]
    assert one == list(range(12))
    for step in range(3):  # 2 images a step in each process, or 4 in one
        shared = [draw for half in halves for draw in half[2 * step : 2 * step + 2]]
        assert sorted(shared) == one[4 * step : 4 * step + 4]


@pytest.mark.parametrize("world", [1, 2])
def test_a_sampler_that_starts_later_goes_on(monkeypatch, world):
    for rank in range(world):
        whole = first(sampler(monkeypatch, rank, world), 10)
        assert first(sampler(monkeypatch, rank, world, start=4), 6) == whole[4:]


def test_workers_change_nothing(monkeypatch):
    def batches(workers: int) -> list[Any]:
        loader = DataLoader(
            Draws(Noisy(), seed=2),
            batch_size=3,
            sampler=sampler(monkeypatch, 0, 1),
            num_workers=workers,
            collate_fn=list,
        )
        return list(islice(iter(loader), 5))

    torch.manual_seed(0)
    alone = batches(0)
    torch.manual_seed(1)
    assert batches(2) == alone


def test_a_set_without_a_box_cannot_train():
    with pytest.raises(LabError, match="no training image has a box"):
        len(Draws(Noisy(0)))
