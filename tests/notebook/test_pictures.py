"""The figures show what they were given, at their size, and differ where the tensors do."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from crosskd_lab.notebook.pictures import conflict_figure, cross_head_frames


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
    assert [*frames.values[0]] == [0, 1, 2, 3, 4]
    assert len(set(frames.pictures.values())) == 5
    assert frames.starts == [(3,)]
    for data in frames.pictures.values():
        assert Image.open(io.BytesIO(data)).size == (1280, 370)
