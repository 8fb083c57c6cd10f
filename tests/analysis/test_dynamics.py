"""Fig. 6's two distances, on numbers that can be added up by hand."""

import copy

import pytest
import torch

from crosskd_lab.engine import metrics as dynamics
from crosskd_lab.engine.metrics import (
    ScoreDistances,
    _by_location,
    l1_distance,
    l1_parts,
)
from crosskd_lab.pair import Pair


def test_l1_is_a_sum_per_positive():
    scores, reference = torch.tensor([[[0.5, 0.1], [0.0, 1.0]]]), torch.tensor([[[1.0, 0], [0, 0]]])
    assert l1_distance(scores, reference, 2) == pytest.approx((0.5 + 0.1 + 1) / 2)
    assert l1_distance(scores, reference, 0) == pytest.approx(1.6)


def test_the_truth_is_split_into_positives_and_background():
    scores = torch.tensor([[[0.5, 0.1], [0.2, 0.0]], [[0.3, 0.3], [0.9, 0.0]]])
    truth = torch.tensor([[[0.8, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.7, 0.0]]])
    positive = torch.tensor([[True, False], [False, True]])
    at_positives, at_background = l1_parts(scores, truth, positive)
    assert at_positives == pytest.approx((0.3 + 0.1) + 0.2)
    assert at_background == pytest.approx(0.2 + (0.3 + 0.3))
    assert at_positives + at_background == pytest.approx(l1_distance(scores, truth, 1))


def test_a_student_that_scores_nothing_is_wrong_at_positives_alone(make_pair, make_batch):
    """All of its distance to the truth is the truth itself: here the IoU at every positive."""
    pair = make_pair()
    pair.student.eval()
    torch.nn.init.zeros_(pair.student.bbox_head.gfl_cls.weight)
    torch.nn.init.constant_(pair.student.bbox_head.gfl_cls.bias, -50.0)
    inputs, samples = make_batch()
    measured = ScoreDistances(pair, [dict(inputs=inputs, data_samples=samples)]).measure()
    assert measured["l1_truth_background"] == pytest.approx(0, abs=1e-6)
    assert 0 < measured["l1_truth_positive"] <= 1
    assert measured["l1_truth"] == pytest.approx(measured["l1_truth_positive"])


def test_a_copy_of_the_teacher_is_at_no_distance_from_it(make_detector, make_batch):
    teacher = make_detector(1).eval()
    inputs, samples = make_batch()
    measured = ScoreDistances(
        Pair(copy.deepcopy(teacher), teacher), [dict(inputs=inputs, data_samples=samples)]
    ).measure()
    assert measured["l1_teacher"] == 0 and measured["l1_truth"] > 0


def test_distances_add_up_over_batches_and_names_hold_no_loss(make_pair, make_batch):
    pair = make_pair()
    pair.student.eval()
    batches = [dict(zip(("inputs", "data_samples"), make_batch(seed=s))) for s in (0, 1)]  # noqa: B905
    measured = ScoreDistances(pair, batches).measure()
    parts = {"l1_truth_positive", "l1_truth_background"}
    assert set(measured) == {"l1_teacher", "l1_truth", *parts}  # the engine would add up "loss"
    total = count = 0.0
    for batch in batches:
        scores = []
        for detector in (pair.student, pair.teacher):
            cls, _ = detector.bbox_head(detector.extract_feat(batch["inputs"]))
            scores.append(torch.cat([c.sigmoid().flatten(1) for c in cls], 1))
        total += (scores[0] - scores[1]).abs().sum().item()
        head, samples = pair.student.bbox_head, batch["data_samples"]
        metas = [s.metainfo for s in samples]
        anchors, valid = head.get_anchors([c.shape[-2:] for c in cls], metas, device="cpu")
        truths = [s.gt_instances for s in samples]
        labels = torch.cat(head.get_targets(anchors, valid, truths, metas)[1], 1)
        count += (labels < 3).sum().item()
    assert measured["l1_teacher"] == pytest.approx(total / count, rel=1e-5)


def test_two_anchors_are_held_against_one_by_the_better():
    said = torch.tensor([[[0.1, 0.9], [0.3, 0.2], [0.5, 0.5], [0.4, 0.6]]])  # 2 locations
    better = _by_location(said, type("TwoAnchors", (), {"anchors": 2}))
    assert better.equal(torch.tensor([[[0.3, 0.9], [0.5, 0.6]]]))


def test_an_assigner_is_asked_once_unless_it_looks_at_predictions(
    make_pair, make_batch, monkeypatch
):
    pair = make_pair()
    pair.student.eval()
    batches = [dict(zip(("inputs", "data_samples"), make_batch(), strict=True))]
    distances = ScoreDistances(pair, batches)
    first = distances.measure()
    with monkeypatch.context() as patched:
        patched.setattr(dynamics, "assigned", lambda *_: pytest.fail("asked again"))
        assert distances.measure() == first
        torch.nn.init.constant_(pair.student.bbox_head.gfl_cls.bias, -50.0)
        assert distances.measure()["l1_truth"] <= 1 < first["l1_truth"], "the student, read anew"
    monkeypatch.setattr(dynamics, "is_dynamic", lambda head: True)
    dynamic = ScoreDistances(pair, batches)
    dynamic.measure()
    assert dynamic.targets == [None]
