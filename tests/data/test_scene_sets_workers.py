"""Several processes: results in order, and one line where a process dies."""

import os

import pytest

from crosskd_lab.data.scene_sets import ordered_map
from crosskd_lab.errors import LabError


def square_and_process(number):
    return number * number, os.getpid()


def die(number):
    if number == 20:
        os._exit(9)
    return number


def test_order_is_kept_and_work_is_shared_out():
    results = list(ordered_map(square_and_process, range(64), 2))
    assert [square for square, _ in results] == [n * n for n in range(64)]
    assert os.getpid() not in {process for _, process in results}


@pytest.mark.parametrize("items, processes", [(64, 1), (20, 8), (0, 2)])
def test_one_process_or_little_work_stays_here(items, processes):
    results = list(ordered_map(square_and_process, range(items), processes))
    assert results == [(n * n, os.getpid()) for n in range(items)]


def test_a_killed_worker_is_one_clear_line():
    with pytest.raises(LabError, match="worker process was killed"):
        list(ordered_map(die, range(64), 2))
