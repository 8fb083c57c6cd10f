"""GFL's box coding, flat order and targets, worked out apart from mmdet."""

import math

import pytest
import torch

from crosskd_lab.heads import adapter_for
from crosskd_lab.heads.gfl import GFLAdapter

SIZES = [(8, 8), (4, 4), (2, 2), (1, 1), (1, 1)]  # of a 64-pixel image
STRIDES = (8, 16, 32, 64, 128)


@pytest.fixture
def head(make_detector):
    return adapter_for(make_detector(0).bbox_head)


def maps(channels, fill):
    return tuple(torch.full((1, channels, *size), float(fill)) for size in SIZES)


def test_strides_priors_and_classes(head):
    assert isinstance(head, GFLAdapter)
    assert head.strides == STRIDES and head.anchors == 1 and head.num_classes == 3
    priors = head.priors(maps(1, 0))
    assert priors.shape == (86, 4)
    # stride 8, scale 4: squares of 32 pixels around multiples of 8, row by row
    assert priors[[0, 1, 8]].tolist() == [[-16, -16, 16, 16], [-8, -16, 24, 16], [-16, -8, 16, 24]]


def test_flat_order_is_level_then_row_then_column(head):
    levels = tuple(
        torch.arange(h * w, dtype=torch.float32).view(1, 1, h, w) + 100 * level
        for level, (h, w) in enumerate(SIZES)
    )
    wanted = [100 * level + k for level, (h, w) in enumerate(SIZES) for k in range(h * w)]
    assert head.flat(levels, 1).flatten().tolist() == wanted


def test_equal_bins_decode_to_the_mean_distance_in_strides(head):
    # seven equal bins 0 ... 6 expect 3 strides to each side of the prior's centre
    boxes = head.decode(maps(4 * 7, 0))
    assert boxes.shape == (1, 86, 4)
    assert boxes[0, 0].tolist() == pytest.approx([-24, -24, 24, 24], abs=1e-4)
    assert boxes[0, 9].tolist() == pytest.approx([-16, -16, 32, 32], abs=1e-4)
    assert boxes[0, 64].tolist() == pytest.approx([-48, -48, 48, 48], abs=1e-4)


def test_edges_are_left_top_right_bottom(head):
    reg = maps(4 * 7, 0)
    for level in reg:
        for edge, distance in enumerate((1, 2, 3, 4)):
            level[:, 7 * edge + distance] = 60
    assert head.decode(reg)[0, 0].tolist() == pytest.approx([-8, -16, 24, 32], abs=1e-4)


def test_box_distance_is_the_mean_over_edges(make_detector):
    # two bins (reg_max 1), one edge of four differs by (1/4, 3/4) against (1/2, 1/2)
    head = adapter_for(make_detector(0, reg_max=1).bbox_head)
    teacher = maps(8, 0)
    for level in teacher:
        level[:, 3] = math.log(3)  # second bin of the second edge
    distance = head.box_distance(maps(8, 0), teacher)
    assert distance.shape == (1, 86)
    assert distance[0].tolist() == pytest.approx([0.130812 / 4] * 86, abs=1e-6)


def test_targets_of_one_object(head, make_batch):
    _, samples = make_batch([[[16, 16, 48, 48]]])
    samples[0].set_metainfo(dict(pad_shape=(64, 40)))
    predictions = head.forward_towers(
        tuple(torch.zeros(1, 16, *size) for size in SIZES)
    ).predictions
    metas = [samples[0].metainfo]
    losses, targets = head.detection_losses(predictions, [samples[0].gt_instances], metas)
    assert {"loss_cls", "loss_bbox", "loss_dfl"} <= set(losses)
    assert targets.labels.shape == targets.label_weights.shape == (1, 86)
    positive = targets.positive[0]
    assert positive[4 * 8 + 4]  # the 32-pixel prior centred at (32, 32) is the object itself
    assert targets.labels[0][positive].unique().tolist() == [0]
    assert targets.labels[0][~positive].unique().tolist() == [3]
    assert (targets.boxes[0][positive] == torch.tensor([16.0, 16, 48, 48])).all()
    assert targets.num_pos == positive.sum().item() > 0
    # pixels from 40 on are padding: columns 5, 6, 7 of the 8 by 8 level count for nothing
    weights = targets.label_weights[0, :64].view(8, 8)
    assert (weights[:, :5] == 1).all() and (weights[:, 5:] == 0).all()


def iou(a, b):
    low, high = torch.maximum(a[:2], b[:2]), torch.minimum(a[2:], b[2:])
    inner = float((high - low).clamp(min=0).prod())
    return inner / (float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - inner)


@pytest.mark.parametrize("family", ["gfl", "vfnet", "rtmdet"])
def test_quality_is_the_overlap_at_the_objects_class(detector, batch, stepped, family):
    changes = {"rtmdet": dict(exp_on_reg=True)}.get(family, {})  # boxes with an inside
    adapter, said, _, targets = stepped(detector(family, **changes), batch)
    soft, boxes = adapter.soft_labels(said, targets), adapter.decode(said.reg)
    assert not soft.requires_grad and not soft[~targets.positive].any()
    chosen = targets.positive.nonzero()
    assert len(chosen) > 3
    for image, prior in chosen.tolist():
        row, label = soft[image, prior], targets.labels[image, prior]
        wanted = iou(boxes[image, prior].detach(), targets.boxes[image, prior])
        assert row[label].item() == pytest.approx(wanted, abs=1e-4)
        assert row.sum() == row[label]
    assert soft.any()
