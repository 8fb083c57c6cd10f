"""Scenes: the same bytes for ever, boxes that fit what can be seen."""

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest

from crosskd_lab.data import scenes as draw
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
    crops,
    draw_scene,
    generator,
    pixel_window,
    place,
)
from crosskd_lab.errors import LabError


@pytest.fixture
def flat(monkeypatch):
    """Scenes of plain opaque shapes on plain ground."""
    for name in ("TEXTURE", "TRANSPARENCY", "STROKES", "NOISE"):
        monkeypatch.setattr(draw, name, 0)


# Known bytes: a change here is a new data set, and GENERATOR_VERSION says so. Teachers, records
# and published numbers belong to these bytes.
SCENES = {
    ("train", 0, 160): "522834913d02e6a4",
    ("val", 3, 160): "bbab273c162eaa8a",
    ("test", 999, 64): "94f2aa430bf191c1",
}


def digest(*arrays):
    joined = b"".join(np.ascontiguousarray(a).astype("<i8").tobytes() for a in arrays)
    return hashlib.sha256(joined).hexdigest()[:16]


@pytest.mark.parametrize("stream, index, size", SCENES)
def test_a_seed_means_the_same_bytes(stream, index, size):
    scene = draw_scene(generator(0, stream, index), size)
    found = digest(scene.image, scene.boxes, scene.labels, scene.areas)
    assert found == SCENES[stream, index, size]


def test_crops_are_the_same_bytes_and_carry_their_label():
    images, labels = zip(*crops(40, 80, seed=0), strict=True)
    assert digest(np.stack(images), np.array(labels)) == "7f06961f1f36331a"
    assert images[0].shape == (80, 80, 3) and images[0].dtype == np.uint8
    assert set(labels) == set(range(10))


@pytest.mark.parametrize("other", [(1, "train", 0), (0, "val", 0), (0, "train", 1)])
def test_seed_split_and_index_each_give_another_scene(other):
    first = draw_scene(generator(0, "train", 0), 64).image
    assert not np.array_equal(first, draw_scene(generator(*other), 64).image)


def flat_scenes():
    """Flat scenes and their large plain colours, the most frequent (the ground) first."""
    scenes = []
    for index in range(120):
        scene = draw_scene(generator(5, "train", index), 96)
        colours, counts = np.unique(scene.image.reshape(-1, 3), axis=0, return_counts=True)
        order = [k for k in np.argsort(-counts) if counts[k] >= 12]
        scenes.append((scene, [colours[k].astype(float) for k in order]))
    return scenes


def tight(mask):
    y, x = np.nonzero(mask)
    return [x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min()]


def test_the_box_of_a_lone_shape_is_tight_around_its_pixels(flat):
    checked = 0
    for scene, colours in flat_scenes():
        if len(scene.labels) != 1 or len(colours) != 2:
            continue
        ground, shape = colours
        pixels, way = scene.image - ground, shape - ground
        share = pixels @ way / (way @ way)  # of the shape's colour in each pixel, 0 to 1
        if np.abs(pixels - share[..., None] * way).max() > 2:
            continue  # a second shape peeps out
        seen = share > 8.5 / 16
        assert scene.boxes.tolist() == [tight(seen)]
        assert scene.areas.tolist() == [seen.sum()]
        checked += 1
    assert checked >= 5


def rectangle(left, top, right, bottom):
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return [np.array(corners, dtype=np.int64) * UNIT]


def test_boxes_fit_what_other_shapes_leave_visible(flat, monkeypatch):
    outlines = [
        (4, rectangle(10, 10, 40, 40)),  # its right third goes under the next
        (2, rectangle(30, 0, 60, 60)),
        (1, rectangle(70, 70, 80, 80)),  # wholly under the last but one
        (7, rectangle(0, 70, 5, 73)),  # 15 pixels are too few for a box
        (9, rectangle(65, 65, 90, 85)),
        (6, rectangle(90, 90, 120, 99)),  # leaves the image
    ]
    for index in range(100):  # until a scene has as many shapes
        left = iter(outlines)
        monkeypatch.setattr(draw, "_random_outline", lambda *_, left=left: next(left, outlines[-1]))
        scene = draw_scene(generator(0, "train", index), 96)
        if next(left, None) is None:
            break
    assert scene.labels.tolist() == [4, 2, 9, 6]
    assert scene.boxes.tolist() == [
        [10, 10, 20, 30],
        [30, 0, 30, 60],
        [65, 65, 25, 20],
        [90, 90, 6, 6],
    ]
    assert scene.areas.tolist() == [600, 1800, 500, 36]


def test_a_single_shape_is_whole(monkeypatch):
    placed = []
    monkeypatch.setattr(draw, "place", lambda *a: placed.append(place(*a)) or placed[-1])
    for image, label in crops(50, 64):
        assert image.shape == (64, 64, 3) and 0 <= label < len(CLASSES)
    points = np.concatenate([ring for rings in placed for ring in rings])
    assert len(placed) == 50 and points.min() >= -UNIT and points.max() <= 65 * UNIT


@pytest.mark.parametrize("size", [0, 31, 2049])
def test_a_size_out_of_range_is_named(size):
    with pytest.raises(LabError, match=f"size {size} .*32 to 2048"):
        draw_scene(generator(0, "train", 0), size)
    with pytest.raises(LabError, match=f"size {size}"):
        next(crops(1, size))


def test_a_negative_seed_is_named():
    with pytest.raises(LabError, match="seed -1 is no seed: give a whole number"):
        generator(-1, "train", 0)


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
