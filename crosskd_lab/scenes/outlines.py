"""Outlines of the ten shape classes and their anti-aliased filling, in whole numbers only.

Every step is integer arithmetic, so a shape comes out the same to the byte on every machine. The
two tables round a sine and a power; no entry lies near a rounding tie, so any libm gives the same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.signedinteger[Any]]
Window = tuple[slice, slice]  # pixel rows and columns

UNIT = 64  # coordinates are in 1/64 pixel
SAMPLES = 4  # sample rows and columns a pixel, so a fully covered pixel counts 16
FULL = SAMPLES * SAMPLES
TURN = 1024  # angle steps a full turn
ONE = 1 << 14  # the number 1 in SINE
RADIUS = 1 << 10  # the outlines below are drawn for this radius

SINE: Ints = np.array(
    [round(ONE * math.sin(2 * math.pi * k / TURN)) for k in range(TURN)], dtype=np.int64
)


def _sin_cos(angle: Ints | int) -> tuple[Ints, Ints]:
    return SINE[angle % TURN], SINE[(angle + TURN // 4) % TURN]


def _arc(start: int, stop: int, step: int, radius: int = RADIUS, shift: int = 0) -> Ints:
    """Points (n, 2) of a circular arc, `shift` to the right, angles in 1/1024 turn."""
    sin, cos = _sin_cos(np.arange(start, stop, step, dtype=np.int64))
    return np.stack([(cos * radius >> 14) + shift, sin * radius >> 14], axis=1)


def _scaled(points: Ints, percent: int) -> Ints:
    return points * percent // 100


def _regular(corners: int) -> Ints:
    return np.concatenate([_arc(TURN * k // corners, TURN, TURN) for k in range(corners)])


def _star() -> Ints:
    corners = _regular(10)
    corners[1::2] = _scaled(corners[1::2], 42)
    return corners


_DISC = _arc(0, TURN, TURN // 64)
_SQUARE = _arc(TURN // 8, TURN + TURN // 8, TURN // 4)
_CROSS = [(-33, -100), (33, -100), (33, -33), (100, -33), (100, 33), (33, 33)]
_ARROW = [(100, 0), (10, -80), (10, -35), (-100, -35), (-100, 35), (10, 35), (10, 80)]

# One or two closed rings a class, in fixed order: the position is the label. A point inside an odd
# number of rings is inside the shape, which makes the holes of the ring and of the frame.
OUTLINES: dict[str, tuple[Ints, ...]] = {
    "disc": (_DISC,),
    "ring": (_DISC, _scaled(_DISC, 55)),
    "square": (_SQUARE,),
    "frame": (_SQUARE, _scaled(_SQUARE, 55)),
    "triangle": (_regular(3),),
    "star": (_star(),),
    "cross": (np.array(_CROSS + [(-x, -y) for x, y in _CROSS], dtype=np.int64) * RADIUS // 100,),
    # A disc less a second one of radius 0.85 at 0.5: the circles meet at 58.2 and 88.1 degrees.
    "crescent": (
        np.concatenate(
            [_arc(166, 859, 12), _arc(773, 250, -12, RADIUS * 85 // 100, RADIUS // 2)],
        ),
    ),
    "hexagon": (_regular(6),),
    "arrow": (np.array(_ARROW, dtype=np.int64) * RADIUS // 100,),
}
CLASSES: tuple[str, ...] = tuple(OUTLINES)


def place(
    rings: tuple[Ints, ...], centre: tuple[int, int], radius: int, aspect: int, angle: int
) -> list[Ints]:
    """Squeeze, turn, scale and move an outline.

    Args:
        rings: closed rings of points (n, 2) as (x, y), drawn for radius `RADIUS`.
        centre: (x, y) in 1/64 pixel.
        radius: in 1/64 pixel.
        aspect: height over width before turning, in 1/256.
        angle: in 1/1024 turn.

    Returns:
        Rings of points (n, 2) as (x, y) in 1/64 pixel.
    """
    sin, cos = _sin_cos(angle)
    placed = []
    for ring in rings:
        x, y = ring[:, 0], ring[:, 1] * aspect >> 8
        turned = np.stack([x * cos - y * sin, x * sin + y * cos], axis=1)
        placed.append((turned * radius >> 24) + np.array(centre, dtype=np.int64))
    return placed


def pixel_window(rings: list[Ints], size: int) -> Window:
    """The (rows, columns) of a `size` x `size` image that rings in 1/64 pixel may touch."""
    points = np.concatenate(rings)
    low = np.clip(points.min(axis=0) // UNIT, 0, size)
    high = np.clip(points.max(axis=0) // UNIT + 1, 0, size)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _crossings(rings: list[Ints], rows: int) -> tuple[Ints, Ints]:
    """Where ring edges cross the sample rows: row indices and x in 1/64 pixel, along each row."""
    a = np.concatenate(rings)
    b = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    step = UNIT // SAMPLES
    y = np.arange(rows, dtype=np.int64) * step + step // 2
    row, edge = np.nonzero((a[:, 1] <= y[:, None]) != (b[:, 1] <= y[:, None]))
    (ax, ay), (dx, dy) = a[edge].T, (b - a)[edge].T
    x = ax + (y[row] - ay) * dx // dy
    order = np.lexsort((x, row))
    return row[order], x[order]


def coverage(rings: list[Ints], window: Window) -> Ints:
    """How many of the 4 x 4 samples of each pixel lie inside the rings (even-odd rule).

    Args:
        rings: closed rings of points (n, 2) as (x, y) in 1/64 pixel.
        window: the pixel rows and columns to fill.

    Returns:
        Counts (height, width) of the window, 0 to 16.
    """
    top, left = window[0].start, window[1].start
    height, width = window[0].stop - top, window[1].stop - left
    moved = [ring - np.array([left, top], dtype=np.int64) * UNIT for ring in rings]
    row, x = _crossings(moved, height * SAMPLES)
    # A row of a closed ring is entered and left in turn, so crossings in order alternate in sign;
    # each adds the samples to its right: some of its own pixel's four, all four of those after it.
    sample = np.clip((x + UNIT // SAMPLES // 2) // (UNIT // SAMPLES), 0, width * SAMPLES)
    sign = 1 - 2 * (np.arange(len(x)) % 2)
    pixel, beyond = np.divmod(sample, SAMPLES)
    cell = row // SAMPLES * (width + 2) + pixel
    steps = np.zeros(height * (width + 2), dtype=np.int32)
    np.add.at(steps, cell, sign * (SAMPLES - beyond))
    np.add.at(steps, cell + 1, sign * beyond)
    return np.cumsum(steps.reshape(height, width + 2), axis=1, dtype=np.int32)[:, :width]
