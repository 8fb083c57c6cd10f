"""A run under way, drawn."""

import pandas as pd

from crosskd_lab.report.figures import watch_figure


def test_losses_and_ap_over_steps():
    rows = pd.DataFrame(
        [
            {"step": 10, "kind": "train", "loss": 2.0},
            {"step": 20, "kind": "train", "loss": 1.5},
            {"step": 20, "kind": "val", "AP": 7.0},
        ]
    )
    loss, ap = watch_figure(rows, steps=40).axes
    assert loss.lines[0].get_xydata().tolist() == [[10, 2.0], [20, 1.5]]
    assert ap.lines[0].get_xydata().tolist() == [[20, 7.0]]
    assert loss.get_xlim() == ap.get_xlim() == (0, 40)


def test_nothing_yet():
    empty = pd.DataFrame(columns=["step", "kind"])
    assert [ax.texts[0].get_text() for ax in watch_figure(empty).axes] == ["nothing yet"] * 2
