"""Filling of outlines against exact rational arithmetic, and tables that no libm can change."""

import math
from fractions import Fraction

import numpy as np
import pytest

from crosskd_lab.data.scenes import (
    CLASSES,
    ONE,
    OUTLINES,
    RADII,
    RADIUS,
    SINE,
    TURN,
    UNIT,
    coverage,
    pixel_window,
    place,
)


def inside(rings, x, y):
    """Even-odd rule by a ray to the left, in exact fractions."""
    odd = False
    for ring in rings:
        for (ax, ay), (bx, by) in zip(ring.tolist(), np.roll(ring, -1, 0).tolist(), strict=True):
            if (ay <= y) != (by <= y):
                odd ^= ax + Fraction((y - ay) * (bx - ax), by - ay) < x
    return odd


def samples_inside(rings, row, column):
    offsets = range(UNIT // 8, UNIT, UNIT // 4)
    return sum(
        inside(rings, column * UNIT + dx, row * UNIT + dy) for dy in offsets for dx in offsets
    )


def test_coverage_counts_the_samples_inside_of_any_polygon():
    rng = np.random.default_rng(0)
    for corners in (3, 4, 7):
        rings = [rng.integers(-3 * UNIT, 9 * UNIT, (corners, 2)) for _ in range(2)]
        counted = coverage(rings, (slice(0, 6), slice(0, 7)))
        expected = [[samples_inside(rings, r, c) for c in range(7)] for r in range(6)]
        assert counted.tolist() == expected


def test_coverage_of_a_window_is_that_part_of_the_whole():
    rings = place(OUTLINES["star"], (6 * UNIT, 5 * UNIT), 4 * UNIT, 256, 100)
    whole = coverage(rings, (slice(0, 12), slice(0, 12)))
    rows, columns = pixel_window(rings, 12)
    assert np.array_equal(coverage(rings, (rows, columns)), whole[rows, columns])
    assert whole.sum() == whole[rows, columns].sum()


def lens(a, b, distance):
    """Area that discs of radius a and b have in common."""
    total = 0.0
    for own, other in ((a, b), (b, a)):
        half = math.acos((distance**2 + own**2 - other**2) / (2 * distance * own))
        total += own**2 * (half - math.sin(2 * half) / 2)
    return total


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("disc", math.pi),
        ("ring", math.pi * (1 - 0.55**2)),
        ("square", 2),
        ("frame", 2 * (1 - 0.55**2)),
        ("triangle", 3 * math.sqrt(3) / 4),
        ("star", 10 * 0.42 * math.sin(math.pi / 5) / 2),
        ("cross", 4 * (0.66 - 0.33**2)),
        ("crescent", math.pi - lens(1, 0.85, 0.5)),
        ("hexagon", 3 * math.sqrt(3) / 2),
        ("arrow", 1.1 * 0.7 + 0.9 * 1.6 / 2),
    ],
)
def test_area_of_each_outline_is_that_of_the_figure(name, share):
    radius = 40
    rings = place(OUTLINES[name], (50 * UNIT, 50 * UNIT), radius * UNIT, 256, 137)
    area = coverage(rings, (slice(0, 100), slice(0, 100))).sum() / 16
    assert area == pytest.approx(share * radius**2, rel=0.015)


def test_classes_and_order_are_fixed():
    names = "disc ring square frame triangle star cross crescent hexagon arrow"
    assert " ".join(CLASSES) == names
    assert max(np.abs(ring).max() for rings in OUTLINES.values() for ring in rings) <= RADIUS


def test_no_table_entry_is_near_a_rounding_tie():
    exact = [ONE * math.sin(2 * math.pi * k / TURN) for k in range(TURN)]
    radii = [65536 * 0.04 * 7.5 ** (k / 255) for k in range(256)]
    for value in exact + radii:
        assert abs(abs(value) % 1 - 0.5) > 1e-4
    assert [SINE[0], SINE[256], SINE[512], SINE[768]] == [0, ONE, 0, -ONE]
    assert (RADII[0], RADII[255]) == (2621, 19661)  # 4 % and 30 % of 65536
