"""RetinaNet's targets, and its terms worked out by hand: nine anchors, ignored ones, local N."""

import math

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.heads import adapter_for

LN4 = math.log(4)  # sigma = 0.8


def test_terms_of_constant_predictions(detector, constant, mimicry):
    adapter = adapter_for(detector("retinanet").bbox_head)
    ours = constant(adapter, 0.0, [0.0, 0.0, 0.0, 0.0])
    theirs = constant(adapter, LN4, [0.0, 0.0, math.log(2), 0.0])  # twice as wide
    objects = {9: (1, [0.0, 0, 32, 32]), 10: (1, [0.0, 0, 32, 32])}
    losses = mimicry(adapter, ours, theirs, objects, ignored=(0, 1, 2, 3), num_pos=2.0)
    counted = 86 * 9 - 4
    # 0.3 * ln 2 for each of three classes; GIoU of a box and its double is 1/2
    assert losses == {
        "loss_kd_cls": pytest.approx(3 * 0.3 * math.log(2) * counted / 2, rel=1e-5),
        "loss_kd_reg": pytest.approx(0.8 * 0.5 * counted / 2, rel=1e-5),
    }


def test_middling_anchors_are_ignored(detector, batch, stepped):
    adapter, said, _, targets = stepped(detector("retinanet"), batch)
    priors = adapter.priors(said.cls)
    for image, sample in enumerate(batch[1]):
        boxes = sample.gt_instances.bboxes
        low = torch.maximum(priors[:, None, :2], boxes[None, :, :2])
        high = torch.minimum(priors[:, None, 2:], boxes[None, :, 2:])
        both = (high - low).clamp(min=0).prod(-1)
        areas = [(b[:, 2:] - b[:, :2]).prod(-1) for b in (priors, boxes)]
        overlap = (both / (areas[0][:, None] + areas[1] - both)).amax(1)
        positive = targets.positive[image]
        assert positive[overlap > 0.501].all()
        ignored = targets.label_weights[image] == 0
        assert ignored.any()
        assert torch.equal(ignored, (overlap >= 0.4) & (overlap < 0.5) & ~positive)
    assert targets.num_pos == targets.positive.sum().item()


def test_deltas_are_read_with_the_heads_own_deviations(detector, constant):
    # ATSS: anchors of 8 strides, deviations 0.1 for the centre and 0.2 for the size
    adapter = adapter_for(detector("atss").bbox_head)
    reg = constant(adapter, 0.0, [1.0, 0.0, 5 * math.log(2), 0.0]).reg
    boxes = adapter.decode(reg)
    assert boxes.shape == (1, 86, 4)
    # the first anchor is (-32, -32, 32, 32): moved by 0.1 of its 64 pixels, twice as wide
    assert boxes[0, 0].tolist() == pytest.approx([6.4 - 64, -32, 6.4 + 64, 32], abs=1e-3)


def test_each_anchor_has_its_own_box(detector, constant):
    adapter = adapter_for(detector("retinanet").bbox_head)
    boxes = adapter.decode(constant(adapter, 0.0, [0.0] * 4).reg)[0]
    width, height = (boxes[:9, 2] - boxes[:9, 0]), (boxes[:9, 3] - boxes[:9, 1])
    sizes = [32 * 2 ** (k / 3) for k in range(3)]
    assert (width * height).sqrt().tolist() == pytest.approx(sizes * 3, rel=1e-4)
    ratios = [0.5] * 3 + [1.0] * 3 + [2.0] * 3
    assert (height / width).tolist() == pytest.approx(ratios, rel=1e-4)


def test_scores_by_softmax_are_refused(detector):
    head = detector("retinanet").bbox_head
    head.use_sigmoid_cls = False  # as mmdet has it for loss_cls=dict(type="CrossEntropyLoss")
    with pytest.raises(LabError, match=r"RetinaHead scores classes by softmax.*use_sigmoid=True"):
        adapter_for(head)
