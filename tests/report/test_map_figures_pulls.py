"""Fig. 5 shows the energy it was given and means with intervals over images."""

import numpy as np
import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.map_figures import concentration_figure, energy_figure

IMAGE = np.zeros((8, 8, 3), np.uint8)


def frame():
    rows = []
    for image in range(3):
        for where, i in (("neck", 0), ("cls", 3)):
            for k, loss in enumerate(["detection", "CrossKD"]):
                row = dict(image=image, where=where, i=i, loss=loss, area=0.25)
                rows.append({**row, "inside": 0.1 * (image + 1), "gini": 0.5, "cosine": 1 - k})
    return pd.DataFrame(rows)


def test_every_map_is_drawn_as_the_root_of_its_share():
    values = np.array([[0.0, 1.0], [4.0, 16.0]])
    figure = energy_figure(IMAGE, {"detection": values, "PKD": 0 * values}, [[0, 0, 4, 4]])
    image, detection, nothing, _ = figure.axes
    assert detection.images[0].get_array().tolist() == [[0, 0.25], [0.5, 1]]
    assert not nothing.images[0].get_array().any()
    assert all(len(ax.patches) == 1 for ax in (image, detection, nothing))
    assert detection.get_title(loc="left") == "detection"
    with pytest.raises(LabError, match="no energy map"):
        energy_figure(IMAGE, {})


def test_means_and_intervals_over_images():
    figure = concentration_figure(frame())
    inside, gini, cosine = figure.axes
    (neck_to_cls, half), *_ = [
        (bars.lines[0].get_xdata().tolist(), bars.lines[2][0].get_segments())
        for bars in inside.containers
    ]
    # 0.1, 0.2, 0.3: mean 0.2, s = 0.1, half width 4.302653 * 0.1 / sqrt(3) = 0.24841.
    assert neck_to_cls == pytest.approx([0.2, 0.2])
    assert half[0][:, 0] == pytest.approx([0.2 - 0.24841, 0.2 + 0.24841], abs=1e-5)
    assert gini.containers[0].lines[0].get_xdata().tolist() == [0.5, 0.5]
    assert cosine.containers[1].lines[0].get_xdata().tolist() == [0, 0]
    labels = [label.get_text() for label in inside.get_yticklabels()]
    assert labels == ["neck, $f_0$", "cls tower, $f_3$"]
    assert inside.lines[-1].get_xdata() == [0.25, 0.25]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["detection", "CrossKD"]
    assert "over 3 images" in figure.get_suptitle()


def test_a_loss_that_does_not_reach_a_feature_is_left_out_there():
    part = frame()
    part.loc[(part["loss"] == "CrossKD") & (part["where"] == "cls"), ["gini", "inside"]] = np.nan
    gini = concentration_figure(part).axes[1]
    assert [len(bars.lines[0].get_xdata()) for bars in gini.containers] == [2, 1]
    with pytest.raises(LabError, match="has no cosine"):
        concentration_figure(part.drop(columns="cosine"))
