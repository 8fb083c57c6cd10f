"""Notebook 04's pictures come from what was counted, and its judge knows right from wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from crosskd_lab.conflict import Conflict, ConflictHistogram
from crosskd_lab.notebook import conflicts
from crosskd_lab.notebook.conflicts import (
    THRESHOLDS,
    check_ratio,
    compare,
    conflict_survey,
    count,
    count_teachers,
    group_menus,
    image_frames,
    threshold_frames,
)


@pytest.fixture(scope="module")
def survey(scenes_dir):
    return conflict_survey("smoke", scenes_dir, "random")


def tally_of(score):
    """Two locations of class "a", one positive; the teacher says ``score`` at both."""
    tally = ConflictHistogram([8], ["a"])
    target = torch.tensor([[[1.0], [0.0]]])
    label, area = torch.tensor([[0, 1]]), torch.tensor([[9.0, 0.0]])
    counted, level = torch.ones(1, 2, dtype=torch.bool), torch.zeros(2, dtype=torch.long)
    tally.add(Conflict(target, torch.full((1, 2, 1), score), label, area, counted, level))
    return tally


def test_every_image_has_a_picture(survey):
    frames = image_frames(survey, images=3)
    assert [*frames.values[0]] == [0, 1, 2]
    assert len(set(frames.pictures.values())) == 3


def test_an_untrained_teacher_contradicts_every_positive_once(survey):
    """It scores about 0.01 everywhere, so against one-hot labels only positives differ by much."""
    table = count(survey, "exact").frame().query("by == 'all'")
    middle = table[np.isclose(table["threshold"], 0.5)]
    assert middle["ratio"].item() == 1


def test_every_threshold_has_its_picture():
    frames = threshold_frames(tally_of(0.25))
    assert frames.values[0] == THRESHOLDS
    # Discrepancies 0.75 and 0.25: nothing changes from 0.3 to 0.7 but the title.
    assert frames.starts == [(0.5,)]


def test_a_curve_a_teacher():
    figure = compare({"sure": tally_of(0.75), "unsure": tally_of(0.25)})
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["sure", "unsure"]


def test_menus_offer_the_commonest_classes_and_every_level():
    menus = group_menus({"sure": tally_of(0.75), "unsure": tally_of(0.25)}, classes=1)
    assert list(menus.pictures) == [
        (label, level) for label in ("all classes", "a") for level in ("all levels", "stride 8")
    ]
    titles_aside = set(menus.pictures.values())
    assert len(titles_aside) == 4


def test_only_teachers_that_know_the_classes_are_counted(monkeypatch):
    asked = []
    monkeypatch.setattr(conflicts, "conflict_survey", lambda *given: asked.append(given) or given)
    monkeypatch.setattr(conflicts, "count", lambda survey: survey[2])
    monkeypatch.setattr(conflicts, "teachers", lambda: ["atss_r18_w32", "gfl_r18_w32"])
    three = count_teachers("smoke", None, "gfl_r18_w32")
    assert list(three) == ["gfl_r18_w32", "atss_r18_w32"], "no RetinaNet is shipped here"
    assert count_teachers("smoke", "cells", "runs/mine") == {"mine": "runs/mine"}
    assert asked[-1] == ("smoke", "cells", "runs/mine")


def right(target, teacher, threshold):
    apart = (target - teacher).abs().amax(-1) > threshold
    return float(apart.sum() / (target.amax(-1) > 0).sum())


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (right, "Right: "),
        (lambda a, b, t: 0.0, "it gives 0"),
        (lambda a, b, t: right(a, b, t) * 2 / 4, "background"),
        (lambda a, b, t: ((a - b).abs() > t).sum() / 2, "takes the maximum|once"),
        (lambda a, b, t: ((a - b).abs().sum(-1) > t).sum() / 2, "once"),
        (lambda a, b, t: right(a, b, 0.5), "use the threshold"),
        (lambda a, b, t: ((a - b).abs().amax(-1) >= t).sum() / 2, "lies above it"),
        (lambda a, b, t: ((a - b).abs().amax(-1) > t).sum() / len(a), "not by all"),
        (lambda a, b, t: torch.tensor(right(a, b, t)), "Right: "),
        (lambda a, b, t: None, "raised TypeError"),
    ],
)
def test_the_judge_of_the_ratio(ratio, said):
    import re

    assert re.search(said, check_ratio(ratio))
