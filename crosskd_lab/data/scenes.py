"""Synthetic scenes: one to eight of ten shapes on a textured, cluttered, noisy ground.

Drawn and filled in whole numbers: the same pixels on every machine."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..errors import LabError

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


_STAR = _regular(10)
_STAR[1::2] = _scaled(_STAR[1::2], 42)
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
    "star": (_STAR,),
    "cross": (np.array(_CROSS + [(-x, -y) for x, y in _CROSS], dtype=np.int64) * RADIUS // 100,),
    # A disc less a second one of radius 0.85 at 0.5: the circles meet at 58.2 and 88.1 degrees.
    "crescent": (
        np.concatenate([_arc(166, 859, 12), _arc(773, 250, -12, RADIUS * 85 // 100, RADIUS // 2)]),
    ),
    "hexagon": (_regular(6),),
    "arrow": (np.array(_ARROW, dtype=np.int64) * RADIUS // 100,),
}
CLASSES: tuple[str, ...] = tuple(OUTLINES)


def place(
    rings: tuple[Ints, ...], centre: tuple[int, int], radius: int, aspect: int, angle: int
) -> list[Ints]:
    """Squeeze, turn, scale and move an outline: rings of points (n, 2) as (x, y) in 1/64 pixel.

    `rings` are closed, drawn for radius `RADIUS`; `centre` (x, y) and `radius` in 1/64 pixel;
    `aspect` is height over width before turning, in 1/256; `angle` in 1/1024 turn.
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
    """How many of the 4 x 4 samples of each pixel lie inside the rings (even-odd rule), 0 to 16.

    `rings` are points (n, 2) as (x, y) in 1/64 pixel; (height, width) of the window of pixels.
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


Image = NDArray[np.uint8]

GENERATOR_VERSION = 1  # raise it with any change that alters a pixel
STREAMS = {"train": 0, "val": 1, "test": 2, "crops": 3}  # second word of the seed
MAX_OBJECTS = 8
MIN_VISIBLE = 16  # pixels; an object that shows fewer gets no box
# How hard a scene is to read: the most texture and transparency, in 1/256, strokes on the ground,
# and noise (45 is a standard deviation of 26 grey levels).
TEXTURE, TRANSPARENCY, STROKES, NOISE = 256, 115, 9, 45
SMALLEST, LARGEST = 32, 2048  # image sides for which the fixed-point ranges are sound

# Radii in 1/65536 of the side, log-uniform from 4 % to 30 %.
RADII: Ints = np.array([round(65536 * 0.04 * 7.5 ** (k / 255)) for k in range(256)], dtype=np.int64)


@dataclass(frozen=True)
class Scene:
    """An image (S, S, 3) RGB and what can be seen in it.

    `boxes` (k, 4) are (x, y, width, height) in pixels, tight around the visible ones, whose number
    is in `areas` (k,); `labels` (k,) are positions in `CLASSES`.
    """

    image: Image
    boxes: Ints
    labels: Ints
    areas: Ints


def generator(seed: int, stream: str, index: int) -> Generator:
    """The source of chance of one image. `stream` is a split or "crops"."""
    if not 0 <= seed < 2**63:
        raise LabError(f"seed {seed} is no seed: give a whole number from 0 to {2**63 - 1}")
    return np.random.default_rng([seed, STREAMS[stream], index])


def _between(rng: Generator, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both possible."""
    return int(rng.integers(low, high + 1))


def _interpolated(knots: Ints, cell: int, length: int) -> Ints:
    """Cubic (Catmull-Rom) interpolation along axis 0, from every `cell` places to every place."""
    t = np.arange(cell, dtype=np.int32) * 256 // cell
    t2, t3 = t * t >> 8, t * t * t >> 16
    before, after, far = (2 * t2 - t3 - t) >> 1, (t + 4 * t2 - 3 * t3) >> 1, (t3 - t2) >> 1
    taps = np.stack([before, 256 - before - after - far, after, far])
    start, phase = np.divmod(np.arange(length), cell)
    shape = (length,) + (1,) * (knots.ndim - 1)
    parts = (knots[start + k] * taps[k][phase].reshape(shape) for k in range(4))
    return (sum(parts) + 128) >> 8


def _texture(rng: Generator, height: int, width: int, cell: int) -> Ints:
    """Smooth random colours (height, width, 3), mostly 0 to 255, that change each `cell` pixels."""
    knots = rng.integers(0, 256, (height // cell + 4, width // cell + 4, 3)).astype(np.int32)
    rows = _interpolated(knots, cell, height)
    return _interpolated(rows.transpose(1, 0, 2), cell, width).transpose(1, 0, 2)


def _cell(rng: Generator, size: int) -> int:
    return max(2, size // _between(rng, 4, 23))


def _paint(image: Ints, window: Window, cover: Ints, colour: Ints, alpha: int) -> None:
    """Lay `colour` over the window; `cover` counts of 16, `alpha` in 1/256."""
    under = image[window]
    under += ((colour - under) * (cover * alpha)[:, :, None] + 2048) >> 12


def _ground(rng: Generator, size: int) -> Ints:
    texture = _texture(rng, size, size, _cell(rng, size))
    bright = _between(rng, 77, 230)
    ground = ((128 + ((texture - 128) * TEXTURE >> 8)) * bright >> 8).astype(np.int32)
    for _ in range(_between(rng, min(2, STROKES), STROKES)):
        _stroke(rng, ground)
    return ground


def _stroke(rng: Generator, image: Ints) -> None:
    size = len(image)
    (x0, y0), (x1, y1) = rng.integers(0, size * UNIT, (2, 2)).tolist()
    half = _between(rng, 1, 3) * UNIT * size // 320
    along = max(abs(x1 - x0), abs(y1 - y0), 1)
    nx, ny = (y1 - y0) * half // along, (x0 - x1) * half // along
    quad = [(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)]
    colour = rng.integers(0, 256, 3).astype(np.int32)
    rings = [np.array(quad, dtype=np.int64)]
    window = pixel_window(rings, size)
    _paint(image, window, coverage(rings, window), colour, 256)


def _shape(rng: Generator, image: Ints, rings: list[Ints]) -> tuple[Window, NDArray[np.bool_]]:
    """Paint one shape; returns its window and which of those pixels it mostly covers."""
    size = len(image)
    window = pixel_window(rings, size)
    cover = coverage(rings, window)
    height, width = cover.shape
    base = rng.integers(0, 256, 3).astype(np.int32)
    texture = _texture(rng, height, width, _cell(rng, size))
    strength = _between(rng, 0, 256) * TEXTURE >> 8
    colour = np.clip(base + ((texture - 128) * strength >> 8), 0, 255)
    alpha = 256 - (_between(rng, 0, 256) * TRANSPARENCY >> 8)
    _paint(image, window, cover, colour, alpha)
    return window, 2 * cover > FULL


def _noise(rng: Generator, image: Ints) -> Image:
    """Add noise (a sum of four uniform bytes, near a normal one) of a random strength."""
    strength = _between(rng, 0, NOISE)
    bytes_ = np.frombuffer(rng.bytes(4 * image.size), dtype=np.uint8).reshape(4, *image.shape)
    noise = bytes_.sum(axis=0, dtype=np.int32) - 510
    return np.clip(image + (noise * strength >> 8), 0, 255).astype(np.uint8)


def _random_outline(rng: Generator, size: int) -> tuple[int, list[Ints]]:
    label = _between(rng, 0, len(CLASSES) - 1)
    radius = int(RADII[_between(rng, 0, 255)]) * size * UNIT >> 16
    inset = radius * 3 // 5  # a shape may leave the image by less than half
    x, y = rng.integers(inset, size * UNIT - inset, 2).tolist()
    aspect, angle = _between(rng, 154, 256), _between(rng, 0, TURN - 1)
    return label, place(OUTLINES[CLASSES[label]], (x, y), radius, aspect, angle)


def _attempt(rng: Generator, size: int) -> Scene:
    image = _ground(rng, size)
    owner = np.full((size, size), -1, dtype=np.int32)
    labels = []
    for k in range(_between(rng, 1, MAX_OBJECTS)):
        label, rings = _random_outline(rng, size)
        window, covered = _shape(rng, image, rings)
        owner[window][covered] = k
        labels.append(label)
    seen = [(k, np.nonzero(owner == k)) for k in range(len(labels))]
    seen = [(k, pixels) for k, pixels in seen if len(pixels[0]) >= MIN_VISIBLE]
    boxes = [[x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1] for _, (y, x) in seen]
    return Scene(
        _noise(rng, image),
        np.array(boxes, dtype=np.int64).reshape(-1, 4),
        np.array([labels[k] for k, _ in seen], dtype=np.int64),
        np.array([len(y) for _, (y, _) in seen], dtype=np.int64),
    )


def check_size(size: int) -> None:
    """Refuse a side in pixels for which the fixed-point arithmetic is not made."""
    if not SMALLEST <= size <= LARGEST:
        raise LabError(f"image size {size} is out of range; give {SMALLEST} to {LARGEST} pixels")


def draw_scene(rng: Generator, size: int = 160) -> Scene:
    """Draw a scene with at least one visible object; an attempt without one is drawn again.

    All chance comes from `rng`; `generator(seed, split, index)` for the data set's own. `size` is
    the side S in pixels, LabError out of range.
    """
    check_size(size)
    while True:
        scene = _attempt(rng, size)
        if len(scene.labels):
            return scene


def crops(count: int, size: int = 80, seed: int = 0) -> Iterator[tuple[Image, int]]:
    """The first `count` whole single shapes of a seed, for learning to tell the classes apart.

    With the scenes' look: an image (size, size, 3) RGB and its label, a position in `CLASSES`.
    """
    check_size(size)
    for index in range(count):
        rng = generator(seed, "crops", index)
        image = _ground(rng, size)
        label = _between(rng, 0, len(CLASSES) - 1)
        radius = int(RADII[_between(rng, 100, 255)]) * size * UNIT * 3 >> 17  # 13 to 45 % of it
        x, y = rng.integers(radius, size * UNIT - radius, 2).tolist()
        aspect, angle = _between(rng, 154, 256), _between(rng, 0, TURN - 1)
        _shape(rng, image, place(OUTLINES[CLASSES[label]], (x, y), radius, aspect, angle))
        yield _noise(rng, image), label
