"""One anchor a location between heads that number or code their boxes differently."""

from dataclasses import replace

import pytest
import torch

from crosskd_lab.heads import adapter_for
from crosskd_lab.heads.spaces import best_anchors, nearest_anchors, same_space, to_anchors
from crosskd_lab.methods.crosskd import PredictionMimicking
from crosskd_lab.pair import Pair
from crosskd_lab.taps import collect


def test_a_location_has_the_largest_value_of_its_anchors():
    weights = torch.tensor([[1.0, 0, 0, 0, 0, 1]])  # 3 locations x 2 anchors
    assert to_anchors(weights, 2, 1).tolist() == [[1, 0, 1]]
    assert to_anchors(weights, 2, 3).tolist() == [[1, 1, 1, 0, 0, 0, 1, 1, 1]]
    assert to_anchors(weights, 2, 2).tolist() == weights.tolist()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"family": "gfl"}, {"family": "gfl"}, True),
        ({"family": "gfl"}, {"family": "gfl", "reg_max": 8}, False),
        ({"family": "gfl"}, {"family": "atss"}, False),
        ({"family": "fcos"}, {"family": "fcos_exp"}, False),
        ({"family": "atss"}, {"family": "atss", "stacked_convs": 2}, True),
    ],
)
def test_spaces_differ_by_family_priors_and_coding(detector, one, other, same):
    heads = [adapter_for(detector(**changes).bbox_head) for changes in (one, other)]
    assert same_space(*heads) == same


def test_the_best_anchor_is_the_best_scored_one(detector, constant):
    adapter = adapter_for(detector("retinanet").bbox_head)
    predictions = constant(adapter, -2.0, [0.0] * 4)
    predictions.cls[0][0, 5 * 3 + 1, 0, 0] = 1.0  # sixth anchor, second class, first location
    predictions.cls[0][0, 7 * 3, 0, 0] = 0.5
    logits, boxes = best_anchors(adapter, predictions)
    assert logits.shape == (1, 86, 3) and boxes.shape == (1, 86, 4)
    assert logits[0, 0].tolist() == [-2, 1, -2]
    side = 32 * 2 ** (2 / 3) / 2  # the sixth is the square of the third scale
    assert boxes[0, 0].tolist() == pytest.approx([-side, -side, side, side], rel=1e-5)


def test_the_nearest_anchor_is_chosen_by_its_prior(detector, constant):
    adapter = adapter_for(detector("retinanet").bbox_head)
    predictions = constant(adapter, -2.0, [0.0] * 4)
    for anchor in range(9):
        predictions.cls[0][:, 3 * anchor] = anchor  # tells which one was taken
    flat = 32 * 2**0.5
    boxes = torch.zeros(1, 86, 4)
    boxes[0, 0] = torch.tensor([-flat / 2, -flat / 4, flat / 2, flat / 4])  # twice as wide as high
    boxes[0, 1] = torch.tensor([8 - 16.0, -16, 8 + 16, 16])
    logits, _ = nearest_anchors(adapter, predictions, boxes)
    assert logits[0, :2, 0].tolist() == [0, 3]


@pytest.mark.parametrize("family", ["gfl", "atss", "fcos"])
def test_a_student_that_says_what_the_best_anchor_says_has_nothing_to_learn(
    detector, batch, family
):
    """Its logits and boxes are the teacher's; only the heads' families differ."""
    pair = Pair(detector(family, seed=1), detector("retinanet", seed=2))
    taps, _ = collect(pair, *batch)
    logits, boxes = best_anchors(taps.teacher_head, taps.teacher.predictions)

    class Echo(type(taps.student_head)):  # reads any prediction as that of the best anchor
        def flat_cls(self, predictions):
            return logits

        def decode(self, reg):
            return boxes

    echo = replace(taps, student_head=Echo(pair.student.bbox_head))
    losses = PredictionMimicking().losses(echo)
    assert losses["loss_kd_cls"] == pytest.approx(0, abs=1e-5)
    assert losses["loss_kd_reg"] == pytest.approx(0, abs=1e-3)
    assert all(value > 0.01 for value in PredictionMimicking().losses(taps).values())


def test_terms_between_spaces_by_hand(detector, batch):
    """GFL from RetinaNet: sum over locations, divided by the student's number of positives."""
    pair = Pair(detector("gfl", seed=1), detector("retinanet", seed=2))
    taps, _ = collect(pair, *batch)
    z, t = pair.student_head.flat_cls(taps.student.predictions), taps.teacher.predictions
    mine = pair.student_head.decode(taps.student.predictions.reg)
    logits = pair.teacher_head.flat_cls(t).view(2, -1, 9, 3).double()
    theirs = pair.teacher_head.decode(t.reg).view(2, -1, 9, 4)
    cls = reg = 0.0
    for image in range(2):
        for at in range(z.size(1)):
            best = logits[image, at].max(1).values.argmax()
            y, own = logits[image, at, best].sigmoid(), z[image, at].double()
            yes, no = own.sigmoid().log(), (-own).sigmoid().log()
            cls -= ((own.sigmoid() - y).abs() * (y * yes + (1 - y) * no)).sum().item()
            a, b = mine[image, at].tolist(), theirs[image, at, best].tolist()
            reg += y.max().item() * (1 - giou(a, b))
    losses = PredictionMimicking().losses(taps)
    assert losses["loss_kd_cls"].item() == pytest.approx(
        cls / float(taps.targets.num_pos), rel=1e-4
    )
    assert losses["loss_kd_reg"].item() == pytest.approx(
        reg / float(taps.targets.num_pos), rel=1e-4
    )


def giou(a, b):
    both = 1.0
    hull = 1.0
    for low, high in ((0, 2), (1, 3)):
        both *= max(0.0, min(a[high], b[high]) - max(a[low], b[low]))
        hull *= max(a[high], b[high]) - min(a[low], b[low])
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - both
    return both / union - (hull - union) / hull
