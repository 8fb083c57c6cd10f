import math

import pytest
import torch
from mmcv.ops import batched_nms, nms, nms_match, soft_nms

# IoU of the first two is 60 / 100; the third is alone.
BOXES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 6], [20, 20, 30, 30]])
SCORES = torch.tensor([0.9, 0.8, 0.7])


def _random_boxes(count, seed):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 100
    side = torch.rand(count, 2, generator=generator) * 30
    scores = torch.randperm(count, generator=generator).float() / count
    return torch.cat([corner, corner + side], dim=1), scores


def _iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


def _reference_nms(boxes, scores, threshold):
    rows, kept = boxes.tolist(), []
    for i in sorted(range(len(rows)), key=lambda i: -scores[i].item()):
        if all(_iou(rows[i], rows[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize(
    ("threshold", "kept"), [(0.61, [0, 1, 2]), (0.6, [0, 1, 2]), (0.59, [0, 2])]
)
def test_nms_drops_above_the_threshold_only(kernels, threshold, kept):
    dets, indices = nms(BOXES, SCORES, threshold)
    assert indices.tolist() == kept
    assert dets.tolist() == torch.cat([BOXES, SCORES[:, None]], 1)[kept].tolist()


def test_nms_with_offset_counts_the_last_pixel(kernels):
    # As pixels these are 10 x 10 and 10 x 6: IoU 0.6. As continuous boxes it would be 45 / 81.
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 5]])
    assert nms(boxes, SCORES[:2], 0.58, offset=1)[1].tolist() == [0]
    assert nms(boxes, SCORES[:2], 0.58, offset=0)[1].tolist() == [0, 1]


def test_nms_gives_indices_by_falling_score(kernels):
    assert nms(BOXES, SCORES.flip(0), 0.5)[1].tolist() == [2, 1]


def test_nms_filters_by_score_and_number(kernels):
    assert nms(BOXES, SCORES, 0.9, score_threshold=0.75)[1].tolist() == [0, 1]
    assert nms(BOXES, SCORES, 0.9, max_num=1)[1].tolist() == [0]


def test_nms_of_nothing_and_of_boxes_without_area(kernels):
    assert nms(BOXES[:0], SCORES[:0], 0.5)[1].tolist() == []
    points = torch.zeros(2, 4)
    assert nms(points, SCORES[:2], 0.5)[1].tolist() == [0, 1]


@pytest.mark.parametrize("seed", [0, 1])
def test_nms_of_many_boxes_equals_pairwise_loops(kernels, seed):
    boxes, scores = _random_boxes(600, seed)  # several blocks of the IoU matrix
    assert nms(boxes, scores, 0.4)[1].tolist() == _reference_nms(boxes, scores, 0.4)


def test_batched_nms_keeps_classes_apart(kernels):
    boxes = BOXES[[0, 0, 0]]
    _, kept = batched_nms(
        boxes, SCORES, torch.tensor([0, 1, 0]), {"type": "nms", "iou_threshold": 0.5}
    )
    assert kept.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("method", "second"),
    [("linear", 0.8 * (1 - 0.6)), ("gaussian", 0.8 * math.exp(-(0.6**2) / 0.5))],
)
def test_soft_nms_lowers_the_score_of_the_overlapping_box(method, second):
    dets, indices = soft_nms(BOXES, SCORES, iou_threshold=0.3, sigma=0.5, method=method)
    assert indices.tolist() == [0, 2, 1]
    assert dets[:, 4].tolist() == pytest.approx([0.9, 0.7, second])
    assert dets[:, :4].tolist() == BOXES[[0, 2, 1]].tolist()


def test_soft_nms_drops_below_the_minimum_score():
    # Linear decay leaves 0.32 to the second box; the hard form leaves it 0.
    assert soft_nms(BOXES, SCORES, min_score=0.33)[1].tolist() == [0, 2]
    assert soft_nms(BOXES, SCORES, min_score=0.31)[1].tolist() == [0, 2, 1]
    assert soft_nms(BOXES, SCORES, method="naive")[1].tolist() == [0, 2]


def test_soft_nms_leaves_its_input_alone():
    scores = SCORES.clone()
    soft_nms(BOXES, scores)
    assert scores.tolist() == SCORES.tolist()


def test_nms_match_groups_each_kept_box_with_those_it_suppresses():
    dets = torch.cat([BOXES[[1, 2, 0, 0]], torch.tensor([[0.5], [0.6], [0.9], [0.7]])], dim=1)
    assert [group.tolist() for group in nms_match(dets, 0.59)] == [[2, 3, 0], [1]]
    # An IoU that equals the threshold counts here: two identical boxes at threshold 1.
    assert [group.tolist() for group in nms_match(dets, 1.0)] == [[2, 3], [1], [0]]
