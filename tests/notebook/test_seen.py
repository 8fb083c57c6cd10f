"""The batch as the detectors see it is the images and boxes on disk."""

from __future__ import annotations

import json

import numpy as np
import torch
from PIL import Image


def test_images_are_those_on_disk(seen, tiny_scenes):
    for k in range(3):
        on_disk = np.asarray(Image.open(tiny_scenes / "val" / f"{k:06d}.png").convert("RGB"))
        assert np.array_equal(seen.images[k], on_disk)


def test_boxes_are_those_of_the_annotation_file(seen, tiny_scenes):
    document = json.loads(next((tiny_scenes / "annotations").glob("*val*.json")).read_text())
    names = {c["id"]: c["name"] for c in document["categories"]}
    first = document["images"][0]["id"]
    wanted = [box for box in document["annotations"] if box["image_id"] == first]
    boxes, classes = seen.boxes(0)
    x, y, w, h = np.array([box["bbox"] for box in wanted], dtype=float).T
    assert np.allclose(boxes, np.stack([x, y, x + w, y + h], 1))
    assert classes == [names[box["category_id"]] for box in wanted]


def test_scores_are_probabilities_one_a_location_and_class(seen):
    locations = 20**2 + 10**2 + 5**2 + 3**2 + 2**2  # 160 pixels at strides 8 to 128
    for scores in (seen.student_scores(), seen.teacher_scores(), seen.cross_scores(3)):
        assert scores.shape == (3, locations, 10)
        assert scores.min() >= 0 and scores.max() <= 1
        assert not scores.requires_grad


def test_the_assigner_asks_for_one_class_at_positives_and_none_elsewhere(seen):
    asked, positive = seen.assigned().sum(-1), seen.taps.targets.positive
    assert positive.any()
    assert torch.equal(asked, positive.float())


def test_a_hot_location_lights_the_pixels_next_to_it(seen):
    scores = torch.zeros(3, 538, 10)
    scores[1, 20 * 3 + 5, 7] = 0.5  # finest level, row 3, column 5: stride 8, at (40, 24)
    scores[1, 400 + 10 * 9 + 9, 2] = 0.25  # next level's last location: stride 16, at (144, 144)
    lit = seen.map_of(scores, 1)
    assert lit.shape == (160, 160)
    rows, columns = np.nonzero(lit == 0.5)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 27, 36, 43)
    rows, columns = np.nonzero(lit == 0.25)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (136, 159, 136, 159)
    assert not seen.map_of(scores, 0).any()
