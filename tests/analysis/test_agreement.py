"""Two assigners on one image, against locations counted by hand."""

from __future__ import annotations

import math

import pytest
import torch

from crosskd_lab.configs import read_config
from crosskd_lab.engine.train import prepare_engine
from crosskd_lab.errors import LabError
from crosskd_lab.notebook.agreement import Agreement, find_agreement, positives
from crosskd_lab.pair import Pair, build_detector


@pytest.fixture(scope="module")
def detectors():
    prepare_engine()
    names = ("gfl", "atss", "fcos", "retinanet")
    return {n: build_detector(read_config(f"pocket/{n}_r18_w16").model).eval() for n in names}


def levels(*rows):
    return tuple(torch.tensor(row, dtype=torch.bool) for row in rows)


def test_the_table_counts_each_side():
    fine, coarse = [[[1, 1, 0], [0, 1, 0]]], [[[0, 0]]]
    other = [[[1, 0, 0], [1, 1, 1]]]
    found = Agreement((8, 16), levels(fine, coarse), levels(other, coarse), (), ())
    table = found.table()
    assert table.loc["stride 8"].tolist() == [2, 1, 2, 0.4]
    assert table.loc["all levels"].tolist() == [2, 1, 2, 0.4]
    assert math.isnan(table.loc["stride 16", "agreement"])


def test_gfl_and_atss_share_their_assigner(detectors, make_batch):
    inputs, samples = make_batch()
    pair = Pair(detectors["gfl"], detectors["atss"])
    total = find_agreement(pair, inputs, samples).table().loc["all levels"]
    assert total["both"] > 0
    assert (total["student alone"], total["teacher alone"]) == (0, 0)


def test_fcos_marks_the_points_near_the_middle_of_a_box(detectors, make_batch):
    """Centre sampling: points within 1.5 strides of the middle (24, 24), inside the box.

    Of a box of 32 pixels, edges at most 31 pixels away, that is the level of stride 8, whose
    points lie at 4, 12, 20 ...: those between 12 and 36, without the limits themselves.
    """
    inputs, samples = make_batch([[[8, 8, 40, 40]], [[8, 8, 40, 40]]])
    head = Pair(detectors["fcos"], detectors["fcos"]).student_head
    found, where = positives(head, detectors["fcos"], inputs, samples)
    marked = {tuple(point) for point in where[0][found[0][0]].tolist()}
    assert marked == {(float(x), float(y)) for x in (20, 28) for y in (20, 28)}
    assert not any(level.any() for level in found[1:])


def test_nine_anchors_make_one_location(detectors, make_batch):
    """A location of RetinaNet is positive where one of its anchors overlaps a box enough."""
    inputs, samples = make_batch()
    head = Pair(detectors["retinanet"], detectors["gfl"]).student_head
    walked, _, targets = head.student_step(detectors["retinanet"], inputs, samples, "post_relu")
    found, where = positives(head, detectors["retinanet"], inputs, samples)
    assert [tuple(level.shape) for level in found[:2]] == [(2, 8, 8), (2, 4, 4)]
    first = targets.positive[:, : 64 * 9].view(2, 64, 9).any(-1)
    assert found[0].flatten(1).equal(first) and targets.positive.any()
    assert where[1][0, 1].tolist() == [16.0, 0.0]
    assert len(walked.predictions.cls) == len(found)


def test_unlike_strides_cannot_be_matched(detectors, make_detector, make_batch):
    pair = Pair(make_detector(0), make_detector(1))
    pair.teacher_head = pair.teacher_head.only([1, 2])
    with pytest.raises(LabError, match="cannot be matched: strides"):
        find_agreement(pair, *make_batch())
