"""Regions against hand-computed boxes and LD's own figures."""

import pytest
import torch

from crosskd_lab.methods.regions import (
    atss_threshold,
    diou,
    general_instances,
    inside_boxes,
    near_objects,
    scale_masks,
    split_levels,
    valuable_region,
)

NO_BOX = torch.zeros(0, 4)


def grid(side, stride, size):
    """Square priors of ``size`` pixels centred on multiples of the stride."""
    at = stride * torch.arange(side).float()
    y, x = torch.meshgrid(at, at, indexing="ij")
    centre = torch.stack([x, y], -1).reshape(-1, 2)
    return torch.cat([centre - size / 2, centre + size / 2], 1)


def test_flat_priors_go_back_to_their_cells():
    levels = (torch.zeros(1, 2, 2, 3), torch.zeros(1, 2, 1, 1))
    split = split_levels(torch.arange(14)[None], levels)
    assert [tuple(level.shape) for level in split] == [(1, 2, 3, 2), (1, 1, 1, 2)]
    assert split[0][0, 1, 2].tolist() == [10, 11]  # row 1, column 2: the sixth cell's two priors
    assert split[1].flatten().tolist() == [12, 13]


def test_only_centres_strictly_inside_a_box_count():
    centre = torch.tensor([[0.0, 0.0], [8.0, 8.0], [16.0, 8.0], [16.0, 16.0]])
    box = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    assert inside_boxes(centre, box).tolist() == [False, True, False, False]
    assert not inside_boxes(centre, NO_BOX).any()


def test_near_objects_exceed_half_of_the_best():
    overlaps = torch.tensor([[0.80], [0.41], [0.40], [0.39]])
    assert near_objects(overlaps).tolist() == [True, True, False, False]
    assert not near_objects(torch.zeros(4, 1)).any()  # strict: untouched boxes select nothing
    assert not near_objects(torch.zeros(4, 0)).any()


@pytest.mark.parametrize(("area", "expected"), [("union", 0.256410), ("prior", 0.423077)])
def test_diou_by_hand(area, expected):
    prior, box = torch.tensor([[4.0, 0.0, 12.0, 8.0]]), torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    assert diou(prior, box, area).item() == pytest.approx(expected, abs=1e-6)


def test_atss_takes_the_nearest_of_each_level():
    priors = torch.tensor([[0.0, 0, 8, 8], [8, 0, 16, 8], [0, 0, 16, 16.0]])
    box = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    overlaps = torch.tensor([[1.0], [0.0], [0.25]])
    # one a level: IoU 1 and 0.25, mean 0.625, unbiased deviation 0.75 / sqrt(2)
    threshold = atss_threshold(overlaps, priors, box, [2, 1], topk=1)
    assert threshold.item() == pytest.approx(0.625 + 0.75 / 2**0.5)


@pytest.mark.parametrize(("area", "size"), [("union", 48), ("prior", 84)])
def test_the_valuable_region_of_one_box(area, size):
    priors, box = grid(16, 8, 64), torch.tensor([[32.0, 32.0, 96.0, 96.0]])
    iou = torch.ones(1)
    region = valuable_region(priors, box, [256], area=area)
    assert (region > 0).sum() == size
    exact = (priors == box).all(1)
    assert exact.sum() == 1 and not region[exact].any()  # the positive is not in it
    assert region.max() < iou


def test_the_threshold_of_that_box():
    from mmdet.structures.bbox import bbox_overlaps

    priors, box = grid(16, 8, 64), torch.tensor([[32.0, 32.0, 96.0, 96.0]])
    threshold = atss_threshold(bbox_overlaps(priors, box), priors, box, [256])
    assert threshold.item() == pytest.approx(0.8600, abs=5e-5)


def test_two_boxes_leave_the_larger_overlap():
    priors = grid(16, 8, 64)
    boxes = torch.tensor([[32.0, 32.0, 96.0, 96.0], [40.0, 32.0, 104.0, 96.0]])
    alone = [valuable_region(priors, box[None], [256]) for box in boxes]
    both = valuable_region(priors, boxes, [256])
    assert torch.equal(both, torch.maximum(*alone))


def test_no_box_has_no_valuable_region():
    assert valuable_region(grid(2, 8, 8), NO_BOX, [4]).tolist() == [0, 0, 0, 0]


def test_general_instances_are_greedy_and_few():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [40, 0, 50, 10]]])
    gain = torch.tensor([[0.9, 0.8, 0.1, 0.7]])
    assert general_instances(gain, boxes, 2).tolist() == [[True, False, False, True]]
    assert general_instances(gain, boxes, 9).tolist() == [[True, False, True, True]]
    # degenerate boxes overlap nothing, not even themselves, and are still chosen once
    points = torch.zeros(1, 3, 4)
    assert general_instances(torch.ones(1, 3), points, 2).sum() == 2


def test_general_instances_agree_with_a_full_nms():
    from mmcv.ops import nms

    torch.manual_seed(0)
    corner = torch.rand(60, 2) * 50
    boxes, gain = torch.cat([corner, corner + 5 + 20 * torch.rand(60, 2)], 1), torch.rand(60)
    _, kept = nms(boxes, gain, 0.3)
    chosen = general_instances(gain[None], boxes[None], 10)[0]
    assert set(chosen.nonzero().flatten().tolist()) == set(kept[:10].tolist())


def test_scale_masks_by_hand():
    foreground, background = scale_masks(torch.tensor([[0.0, 0, 1, 1]]), (1, 4), (1, 4))
    # the box spans two rows, of which the map has one: 1 / (2 * 2) in columns 0 and 1
    assert foreground.tolist() == [[0.25, 0.25, 0, 0]]
    assert background.tolist() == [[0, 0, 0.5, 0.5]]


def test_a_box_that_ends_before_it_begins_marks_nothing():
    foreground, background = scale_masks(torch.tensor([[3.0, 0, 2, 1]]), (1, 4), (1, 4))
    assert not foreground.any() and background.tolist() == [[0.25] * 4]


def test_the_smaller_of_two_boxes_wins_and_none_leaves_background():
    boxes = torch.tensor([[0.0, 0, 3, 0], [0.0, 0, 1, 0]])
    foreground, background = scale_masks(boxes, (1, 4), (1, 4))
    assert foreground.tolist() == [[0.5, 0.5, 0.25, 0.25]]
    assert not background.any()
    foreground, background = scale_masks(NO_BOX, (2, 2), (8, 8))
    assert not foreground.any() and background.tolist() == [[0.25, 0.25], [0.25, 0.25]]
