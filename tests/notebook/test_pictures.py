"""The figures show what they were given, at their size, and differ where the tensors do."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from crosskd_lab.notebook.pictures import (
    alignment_figure,
    conflict_figure,
    cross_head_frames,
    distance_figure,
    gradient_figure,
)


def drawn(ax):
    return np.asarray(ax.images[0].get_array())


def test_conflict_shows_image_target_score_and_difference(seen):
    figure = conflict_figure(seen, 1)
    picture, asked, said, apart = figure.axes[:4]
    assert np.array_equal(drawn(picture), seen.images[1])
    assert set(np.unique(drawn(asked))) == {0.0, 1.0}
    assert np.array_equal(drawn(said), seen.map_of(seen.teacher_scores(), 1))
    assert drawn(apart).max() <= 1
    assert all(len(ax.patches) == len(seen.boxes(1)[0]) for ax in (picture, asked, said, apart))


def test_every_position_of_the_slider_is_a_picture_of_its_own(seen):
    frames = cross_head_frames(seen, 0, range(5), start=3)
    assert list(frames.pictures) == [0, 1, 2, 3, 4]
    assert len(set(frames.pictures.values())) == 5
    assert frames.image.value == frames.pictures[3]
    for data in frames.pictures.values():
        assert Image.open(io.BytesIO(data)).size == (1280, 370)


def test_alignment_orders_channels_by_the_teacher():
    table = pd.DataFrame(
        {
            "feature": ["f_i^s"] * 2 + ["aligned"] * 2 + ["f_i^t"] * 2,
            "channel": [0, 1] * 3,
            "mean": [5.0, 6.0, 3.0, 1.0, 3.0, 1.0],
            "std": [1.0, 1.0, 0.5, 2.0, 0.5, 2.0],
        }
    )
    left, right = alignment_figure(table, 3).axes
    teacher, student, aligned = (line.get_ydata().tolist() for line in left.lines)
    assert (teacher, student, aligned) == ([1.0, 3.0], [6.0, 5.0], [1.0, 3.0])
    assert right.lines[0].get_ydata().tolist() == [0.5, 2.0]


def test_distance_draws_a_curve_and_a_level_for_every_student():
    table = pd.DataFrame({"student": ["none"] * 3, "i": [0, 1, "p^s"], "distance": [3.0, 2.0, 1.0]})
    curve, level = distance_figure(table).axes[0].lines
    assert curve.get_xdata().tolist() == [0, 1]
    assert curve.get_ydata().tolist() == [3.0, 2.0]
    assert list(level.get_ydata()) == [1.0, 1.0]


def test_a_gradient_of_zero_is_written_out():
    table = pd.DataFrame(
        {"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [1.0, 0.0]}, index=["first", "last"]
    )
    left, middle, right = gradient_figure(table).axes
    assert [bar.get_width() for bar in left.patches] == pytest.approx([1.0, 2.0])
    assert [text.get_text().strip() for text in right.texts] == ["0"]
    assert not left.texts and not middle.texts
