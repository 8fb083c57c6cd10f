"""Targets of a whole batch are those that stock makes image by image."""

from dataclasses import replace

import pytest
import torch
from mmdet.models.dense_heads import FCOSHead
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData

from crosskd_lab.engine.fast import FastForm, has_fast_form
from crosskd_lab.engine.targets import pad_objects
from crosskd_lab.heads import adapter_of
from crosskd_lab.heads.dense import by_image
from crosskd_lab.heads.retinanet import encode

CASES = 300


DELTAS = ("RetinaHead", "DDODHead")


def stock_targets(adapter, said, truths, metas, ignored, assigns="get_cls_targets"):
    """What the head's own get_targets says, without its losses."""
    head = adapter.head
    sizes = [m.shape[-2:] for m in said.cls]
    if type(head).__name__ == "FCOSHead":
        made = head.get_targets(head.prior_generator.grid_priors(sizes, device="cpu"), truths)
    elif type(head).__name__ == "VFNetHead":
        points = head.prior_generator.grid_priors(sizes, device="cpu")
        made = head.get_targets(said.cls, points, truths, metas, ignored)
    else:
        anchors = head.get_anchors(sizes, metas, device="cpu")
    if type(head).__name__ == "DDODHead":
        common = head.process_predictions_and_anchors(*anchors, said.cls, said.reg, metas, ignored)
        made = getattr(head, assigns)(*common[:-1], truths, metas, common[-1])
    elif not isinstance(head, FCOSHead):
        made = head.get_targets(*anchors, truths, metas, batch_gt_instances_ignore=ignored)
    targets = adapter.read_targets(made, said)
    if type(head).__name__ in DELTAS:  # its own are deltas, which a tiny object overflows
        targets = replace(targets, boxes=torch.cat(made[-3], 1))
    if isinstance(head, FCOSHead):  # its own are distances, of which boxes are a rounding
        edges = by_image(made[1 if type(head) is FCOSHead else 2], len(truths))
        targets = replace(targets, boxes=edges * targets.positive[..., None])
    return targets


def as_stock_codes(adapter, found, said):
    """Boxes as the deltas or distances that stock keeps of them."""
    if isinstance(adapter.head, FCOSHead):
        centres = found.centres
        edges = torch.cat([centres - found.boxes[..., :2], found.boxes[..., 2:] - centres], -1)
        if getattr(adapter.head, "norm_on_bbox", False):
            edges = edges / adapter.stride_of_priors(said.cls)[:, None]
        return replace(found, boxes=edges * found.positive[..., None])
    if type(adapter.head).__name__ not in DELTAS:
        return found
    coder, anchors = adapter.head.bbox_coder, adapter.priors(said.cls)
    positive = found.positive[..., None]
    boxes = torch.where(positive, found.boxes, anchors)
    return replace(found, boxes=encode(anchors, boxes, coder.means, coder.stds) * positive)


def expect_equal(found, stock):
    assert found.labels.equal(stock.labels)
    assert found.label_weights.equal(stock.label_weights)
    assert float(found.num_pos) == float(stock.num_pos)
    assert found.centres.equal(stock.centres)
    assert found.boxes.equal(stock.boxes)


@pytest.mark.parametrize("name", ["gfl", "atss", "retinanet", "fcos", "fcos_exp", "vfnet", "ddod"])
def test_targets_are_stocks_in_every_case(tiny_detector, case, name):
    adapter = adapter_of(tiny_detector(name))
    form = FastForm(adapter)
    positives = left_out = 0
    for seed in range(CASES):
        said, truths, metas, ignored = case(adapter, seed)
        if name not in ("fcos", "fcos_exp"):
            for kind in ("assigner", "cls_assigner", "reg_assigner"):
                if hasattr(adapter.head, kind):
                    getattr(adapter.head, kind).ignore_iof_thr = 0.5 if seed % 2 else -1
        found = form.assign(adapter, said, pad_objects(truths, ignored), metas)
        stock = stock_targets(adapter, said, truths, metas, ignored)
        expect_equal(as_stock_codes(adapter, found, said), stock)
        if name == "ddod":
            stock = stock_targets(adapter, said, truths, metas, ignored, "get_reg_targets")
            expect_equal(as_stock_codes(adapter, found.of_boxes, said), stock)
        positives += int(found.positive.sum())
        left_out += int((found.label_weights == 0).sum())
    assert positives > 10 * CASES
    assert left_out or "fcos" in name


def test_the_rpns_numbers_give_stocks_owners_too(tiny_detector, case):
    """An RPN keeps its reference form, since its sampler draws at random, but not for its rule."""
    adapter = adapter_of(tiny_detector("retinanet"))
    form = FastForm(adapter)
    numbers = dict(pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, ignore_iof_thr=-1)
    adapter.head.assigner = TASK_UTILS.build(dict(type="MaxIoUAssigner", **numbers))
    left_out = 0
    for seed in range(CASES):
        said, truths, metas, ignored = case(adapter, seed)
        found = form.assign(adapter, said, pad_objects(truths, ignored), metas)
        stock = stock_targets(adapter, said, truths, metas, ignored)
        expect_equal(as_stock_codes(adapter, found, said), stock)
        left_out += int((found.label_weights == 0).sum())
    assert left_out > 10 * CASES, "between 0.3 and 0.7 nothing is asked"


@pytest.mark.parametrize("name", ["gfl", "retinanet", "fcos"])
def test_where_all_priors_count_ties_fall_as_in_stock(tiny_detector, case, name):
    """Whole-numbered boxes lie equally far from several priors."""
    adapter = adapter_of(tiny_detector(name))
    form = FastForm(adapter)
    for seed in range(40):
        said, truths, metas, _ = case(adapter, seed)
        for truth, meta in zip(truths, metas, strict=True):
            truth.bboxes = (truth.bboxes / 8).round() * 8
            truth.bboxes[:, 2:] += 8
            meta["pad_shape"] = meta["img_shape"] = (96, 96)
        found = form.assign(adapter, said, pad_objects(truths), metas)
        stock = stock_targets(adapter, said, truths, metas, [None] * len(truths))
        expect_equal(as_stock_codes(adapter, found, said), stock)


def test_padding_is_no_object():
    empty = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    one = InstanceData(bboxes=torch.ones(1, 4), labels=torch.tensor([2]))
    objects = pad_objects([empty, one])
    assert objects.real.tolist() == [[False], [True]] and objects.ignored is None
    assert pad_objects([empty, empty]).real.tolist() == [[False], [False]]
    crowd = InstanceData(bboxes=torch.ones(2, 4))
    assert pad_objects([empty, one], [None, crowd]).ignored.shape == (2, 2, 4)


@pytest.mark.parametrize(
    "change",
    [
        dict(allowed_border=0),
        dict(assigner=dict(type="ATSSAssigner", topk=9, alpha=0.8)),
        dict(assigner=dict(type="SimOTAAssigner")),
    ],
)
def test_what_stock_alone_can_do_is_left_to_it(tiny_detector, change):
    adapter = adapter_of(tiny_detector("gfl"))
    assert has_fast_form(adapter)
    head = adapter.head
    head.train_cfg = {**head.train_cfg, **change}
    if "assigner" in change:
        head.assigner = TASK_UTILS.build(change["assigner"])
    assert not has_fast_form(adapter)
