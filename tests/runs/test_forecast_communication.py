"""The communication model against sums done by hand."""

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.runs.forecast import Link, bucket_count, exposed_seconds, ring_seconds

G, B = 1e9, 1e10  # bytes of gradients; bytes a second


def test_a_ring_of_four():
    # 2 * 3/4 * 0.1 s on the wire, and ten buckets of a millisecond
    assert ring_seconds(G, 4, B, 10, 1e-3) == pytest.approx(0.15 + 0.01)


def test_one_gpu_tells_nobody():
    assert ring_seconds(G, 1, B, 10, 1e-3) == 0


def test_a_long_ring_sends_everything_twice():
    assert ring_seconds(G, 10**6, B, 0, 0) == pytest.approx(2 * G / B, rel=1e-5)


def test_half_of_it_is_hidden():
    assert 0.2 + exposed_seconds(0.16, 0.5) == pytest.approx(0.28)
    assert exposed_seconds(0.16, 0) == 0.16
    assert exposed_seconds(0.16, 1) == 0


def test_a_backward_hides_no_more_than_itself():
    assert exposed_seconds(0.16, 1, backward=0.06) == pytest.approx(0.10)
    assert exposed_seconds(0.16, 0.5, backward=0.12) == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("mebibytes", "buckets"), [(0.5, 1), (1, 1), (1.5, 2), (26, 2), (26.5, 3), (126, 6)]
)
def test_buckets_are_a_small_one_and_then_25_mebibytes_each(mebibytes, buckets):
    assert bucket_count(mebibytes * 2**20) == buckets


def test_a_ring_is_as_fast_as_its_slowest_link():
    link = Link(bandwidth=20e9, between=5e9, machine=8)
    assert [link.slowest(n) for n in (1, 8, 16)] == [20e9, 20e9, 5e9]
    assert Link(bandwidth=1e9, between=5e9).slowest(64) == 1e9


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (dict(overlap=1.5), "--overlap is a share from 0 to 1, got 1.5"),
        (dict(bandwidth=0.0), "--bandwidth and --between must be positive"),
        (dict(latency=-1.0), "--latency at least 0"),
        (dict(machine=0), "--machine must be at least 1"),
    ],
)
def test_what_no_machine_has_is_refused(wrong, says):
    with pytest.raises(LabError, match=says):
        Link(**wrong)
