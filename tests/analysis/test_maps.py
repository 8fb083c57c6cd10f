"""Locations land where they are on the image, for anchors and points, one prior or several."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.models import DetDataPreprocessor
from mmdet.structures import DetDataSample

from crosskd_lab.maps import by_location, centres, level_sizes, on_image, pixels, score_map

LEVELS = (torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 1))
# Two anchors a location, of different size around one centre: stride 4, then stride 8.
MIDDLES = [(2, 2), (6, 2), (2, 6), (6, 6), (4, 4)]
ANCHORS = torch.tensor([[x - r, y - r, x + r, y + r] for x, y in MIDDLES for r in (1, 3)]).float()
ANCHORED = SimpleNamespace(priors=lambda levels: ANCHORS)
POINTED = SimpleNamespace(priors=lambda levels: torch.tensor(MIDDLES).float())


def test_priors_of_one_location_lie_together():
    values = torch.arange(10)[None]
    assert level_sizes(LEVELS) == [4, 1]
    assert by_location(values, LEVELS).tolist() == [[[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]]


def test_centres_of_anchors_and_points():
    for head in (ANCHORED, POINTED):
        fine, coarse = centres(head, LEVELS)
        assert fine.tolist() == [[[2, 2], [6, 2]], [[2, 6], [6, 6]]]
        assert coarse.tolist() == [[[4, 4]]]


def test_every_pixel_takes_the_nearest_location():
    values = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0]])]
    fine, coarse = on_image(values, centres(POINTED, LEVELS), (8, 6))
    assert fine[:, 0].tolist() == [1, 1, 1, 1, 3, 3, 3, 3]
    assert fine[0].tolist() == [1, 1, 1, 1, 2, 2]  # 4 pixels are nearer to x = 2 than to x = 6
    assert (coarse == 5).all()


def test_shared_values_keep_their_sum():
    values = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0]])]
    fine, coarse = on_image(values, centres(POINTED, LEVELS), (8, 6), share=True)
    assert fine[0, 0] == 1 / 16
    assert fine[7, 5] == 4 / 8
    assert fine.sum() == 10
    assert torch.isclose(coarse.sum(), torch.tensor(5.0))


def test_a_score_map_is_the_best_over_levels_classes_and_priors():
    scores = torch.zeros(10, 3)
    scores[1, 2] = 0.9  # second anchor of the location at (2, 2)
    scores[6, 0] = 0.2  # of (6, 6), below the coarse level's
    scores[8, 1] = 0.4  # of (4, 4), which covers all
    found = score_map(ANCHORED, scores, LEVELS, (8, 8))
    expected = torch.full((8, 8), 0.4)
    expected[:4, :4] = 0.9
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("said", "colours"),
    [
        (dict(mean=[10.0, 20, 30], std=[2.0, 4, 5], bgr_to_rgb=True), "turned"),
        (dict(mean=[10.0, 20, 30], std=[2.0, 4, 5], bgr_to_rgb=False), "as read"),
        (dict(), "neither normalised"),
    ],
)
def test_images_are_shown_in_their_own_colours(said, colours):
    """Files are read as BGR; detectors see them turned to RGB, or as they are, or as bytes."""
    prepared = DetDataPreprocessor(**said)
    blue = torch.tensor([200.0, 30, 10])[:, None, None].expand(3, 2, 2)  # B, G, R
    sample = DetDataSample(metainfo=dict(img_shape=(2, 2)))
    inputs = prepared({"inputs": [blue], "data_samples": [sample]})["inputs"]
    pair = SimpleNamespace(student=SimpleNamespace(data_preprocessor=prepared))
    assert pixels(pair, inputs)[0, 0, 0].tolist() == [10, 30, 200], colours
