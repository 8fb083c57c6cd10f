"""The figure shows the frames' numbers, all on one scale, and turns down to the right."""

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.evidence_figures import score_scaling_figure


def test_a_line_a_method_and_part():
    frame = pd.DataFrame(
        {
            "factor": [1.0, 0.0],
            "l1_truth": [3.0, 2.0],
            "l1_truth_positive": [1.0, 2.0],
            "l1_truth_background": [2.0, 0.0],
        }
    )
    whole, own, background = score_scaling_figure({"KD": frame, "CrossKD": frame + 1}).axes
    assert whole.lines[0].get_xydata().tolist() == [[1.0, 3.0], [0.0, 2.0]]
    assert own.lines[0].get_ydata().tolist() == [1.0, 2.0]
    assert background.lines[1].get_ydata().tolist() == [3.0, 1.0]
    assert whole.get_xlim()[0] > whole.get_xlim()[1] and whole.get_ylim() == own.get_ylim()


def test_no_method_is_an_error():
    with pytest.raises(LabError, match="nothing to turn down"):
        score_scaling_figure({})
