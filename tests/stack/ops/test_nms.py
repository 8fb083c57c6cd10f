import pytest
import torch
from mmcv.ops import batched_nms, nms

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
