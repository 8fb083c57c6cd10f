"""FCOS's units, targets and terms worked out by hand."""

import math

import pytest
import torch

from crosskd_lab.configs import read_config
from crosskd_lab.heads import adapter_for
from crosskd_lab.pair import build_detector

LN4 = math.log(4)  # sigma = 0.8


@pytest.mark.parametrize("family", ["fcos", "fcos_exp"])
def test_terms_of_constant_predictions(detector, constant, mimicry, family):
    adapter = adapter_for(detector(family).bbox_head)
    ours = constant(adapter, 0.0, [1.0] * 4, 0.0)
    theirs = constant(adapter, LN4, [2.0] * 4, LN4)
    # prior 0 is the point (4, 4): l, t, r, b = 4, 4, 12, 4 in this box
    mass = math.sqrt(4 / 12)
    losses = mimicry(adapter, ours, theirs, {0: (0, [0.0, 0, 16, 8])}, num_pos=7.0)
    assert losses == {
        "loss_kd_cls": pytest.approx(0.4 * 3 * 0.3 * math.log(2) * 86 / mass, rel=1e-5),
        "loss_kd_reg": pytest.approx(0.75 * 0.8 * LN4 * 86 / mass, rel=1e-5),  # IoU = 1/4
    }


@pytest.mark.parametrize(("family", "unit"), [("fcos", 8.0), ("fcos_exp", 1.0)])
def test_evaluation_mode_changes_neither_unit_nor_boxes(detector, batch, family, unit):
    model = detector(family)
    adapter = adapter_for(model.bbox_head)
    with torch.no_grad():
        neck = model.extract_feat(batch[0])
        training = adapter.forward_towers(neck).predictions.reg
        model.eval()
        evaluating = adapter.forward_towers(neck).predictions.reg
        in_pixels = model.bbox_head(neck)[1]
    assert torch.equal(training[0], evaluating[0])
    torch.testing.assert_close(training[0] * unit, in_pixels[0])


def test_a_point_outside_all_objects_counts_for_nothing_in_m(detector, constant):
    from crosskd_lab.heads.base import Targets

    adapter = adapter_for(detector("fcos").bbox_head)
    maps = constant(adapter, 0.0, [1.0] * 4).cls
    labels, boxes = torch.full((1, 86), 3), torch.zeros(1, 86, 4)
    labels[0, :2] = 0  # points (4, 4) and (12, 4)
    boxes[0, :2] = torch.tensor([0.0, 0, 8, 8])
    targets = Targets(labels, torch.ones(1, 86), boxes, 2.0, 3, adapter.centres(maps))
    assert targets.centerness[0, :3].tolist() == [1, 0, 0]
    assert adapter.cls_normaliser(targets) == 1
    nothing = Targets(labels * 0 + 3, torch.ones(1, 86), boxes, 1.0, 3, adapter.centres(maps))
    assert adapter.cls_normaliser(nothing) == 1, "no distance is divided by next to nothing"


def test_positives_are_the_points_near_the_middle_of_a_box(make_batch):
    """Centre sampling: points within 1.5 strides of the middle (24, 24), inside the box.

    Of a box of 32 pixels, edges at most 31 pixels away, that is the level of stride 8, whose
    points lie at 4, 12, 20 ...: those between 12 and 36, without the limits themselves.
    """
    inputs, samples = make_batch([[[8, 8, 40, 40]], [[8, 8, 40, 40]]])
    detector = build_detector(read_config("pocket/fcos_r18_w16").model).eval()
    head = adapter_for(detector.bbox_head)
    walked, _, targets = head.student_step(detector, inputs, samples, "post_relu")
    marked = head.centres(walked.predictions.cls)[targets.positive[0]].tolist()  # of all levels
    assert sorted(marked) == [[x, y] for x in (20, 28) for y in (20, 28)]


def test_centerness_is_mmdets_own(detector, batch, stepped):
    model = detector("fcos")
    *_, targets = stepped(model, batch)
    at = targets.positive
    low = (targets.centres - targets.boxes[..., :2])[at]
    high = (targets.boxes[..., 2:] - targets.centres)[at]
    expected = model.bbox_head.centerness_target(torch.cat([low, high], 1))
    torch.testing.assert_close(targets.centerness[at], expected)
    assert targets.centerness.sum() > 0 and not targets.centerness[~at].any()
