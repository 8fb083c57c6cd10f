"""What the lesson's tables say, against what must hold."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch

from crosskd_lab.heads.base import Predictions, Targets
from crosskd_lab.notebook.measures import (
    channel_statistics,
    conflict,
    distances,
    feature_table,
    gradient_table,
    heads_table,
    surest_location,
    teacher_gradients,
)
from crosskd_lab.notebook.seen import look
from crosskd_lab.pair import Pair


def test_both_detectors_and_their_sizes(student):
    table = heads_table(student.pair)
    assert table["parameters (millions)"].to_dict() == {"student": 1.24, "teacher": 3.35}
    assert table["backbone channels"].to_dict() == {"student": 16, "teacher": 32}
    assert table["trained here"].to_dict() == {"student": True, "teacher": False}
    assert table["strides (pixels)"].unique().tolist() == ["(8, 16, 32, 64, 128)"]


def test_features_layer_by_layer(seen):
    table = feature_table(seen, "reg", level=1)
    assert table.index.tolist() == [0, 1, 2, 3, 4]
    assert set(table["shape"]) == {(3, 64, 10, 10)}
    third = seen.taps.teacher.towers["reg"][3][1]
    assert table.loc[3, "mean f_i^t"] == pytest.approx(float(third.sum() / third.numel()), abs=1e-3)
    assert table.loc[0, "zeros f_i^s"] == "0 %"


def test_alignment_gives_the_teachers_statistics_to_every_live_channel(seen):
    table = channel_statistics(seen, 2, "cls", level=0).set_index(["feature", "channel"])
    live = table.loc["f_i^s"]["std"] > 1e-3
    assert live.sum() > 10
    aligned, teacher = table.loc["aligned"][live], table.loc["f_i^t"][live]
    assert (aligned - teacher).abs().to_numpy().max() < 2e-3


def test_a_student_that_is_its_teacher_has_no_distance_at_any_layer(student, batch):
    twin = Pair(copy.deepcopy(student.pair.teacher), student.pair.teacher)
    table = distances({"twin": look(twin, batch, student.config.data.classes)})
    assert table["i"].tolist() == [0, 1, 2, 3, 4, "p^s"]
    assert table["distance"].abs().max() < 1e-4


def test_distances_of_a_real_student_are_not_zero(seen):
    table = distances({"it": seen})
    assert (table["distance"] > 1e-3).all()


def test_conflicts_are_counted_by_hand():
    asked = torch.tensor([[[1.0, 0], [1, 0], [0, 0], [0, 0]]])
    said = torch.tensor([[[0.9, 0], [0.2, 0], [0.1, 0.7], [0.4, 0.3]]])
    targets = Targets(torch.tensor([[0, 0, 2, 2]]), torch.ones(1, 4), torch.ones(1, 4, 4), 2, 2)
    taps = SimpleNamespace(
        teacher_head=SimpleNamespace(flat_cls=lambda predictions: said.logit()),
        teacher=SimpleNamespace(predictions=Predictions((torch.zeros(1, 2, 2, 2),), ())),
        targets=targets,
        metas=[{"scale_factor": (1.0, 1.0)}],
    )
    seen = SimpleNamespace(assigned=lambda: asked, taps=taps)
    assert conflict(seen) == {"positives": 2, "conflicts": 2, "ratio": 1.0}
    assert conflict(seen, 0.75) == {"positives": 2, "conflicts": 1, "ratio": 0.5}


def test_conflicts_of_a_real_batch_are_those_of_plain_counting(seen):
    apart = (seen.assigned() - seen.teacher_scores()).abs().amax(-1) > 0.5
    found = conflict(seen)
    assert found["conflicts"] == int(apart.sum())
    assert found["positives"] == int(seen.taps.targets.positive.sum()) > 0


def test_the_surest_location_shows_all_four_scores():
    def scores(*rows):
        return torch.tensor([rows])

    seen = SimpleNamespace(
        classes=("disc", "star"),
        assigned=lambda: scores([0.0, 0.0], [0.0, 1.0]),
        student_scores=lambda: scores([0.8, 0.8], [0.1, 0.2]),
        teacher_scores=lambda: scores([0.6, 0.5], [0.3, 0.9]),
        cross_scores=lambda i: scores([0.0, 0.0], [0.1 * i, 0.5]),
    )
    table = surest_location(seen, 0, 3)
    assert table.index.tolist() == ["star", "disc"], "the teacher's best class comes first"
    assert table.loc["star"].tolist() == [1.0, 0.2, 0.5, 0.9]
    assert table.loc["disc"].tolist() == [0.0, 0.1, 0.3, 0.3]


def test_crosskd_leaves_the_last_layers_alone_and_mimicking_does_not(student, batch):
    before = copy.deepcopy(student.pair.student.state_dict())
    table = gradient_table(student, batch, i=2)
    crossed, mimicked = table["CrossKD, eq. (2), i = 2"], table["mimicking, eq. (1)"]
    assert (crossed > 0).tolist() == [True, True, True, False, False, False]
    assert (mimicked > 0).all() and (table["detection loss"] > 0).all()
    assert teacher_gradients(student.pair) == 0
    after = student.pair.student.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
