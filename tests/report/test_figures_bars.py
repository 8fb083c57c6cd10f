"""Bars show the numbers of the table, in its order, and whose they are."""

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.figures import bars_figure, label_of, number_of

NAN = float("nan")
FRAME = pd.DataFrame(
    [
        ("paper", "A → B", "CrossKD", "3", NAN, 38.7, NAN, NAN),
        ("recorded", "table1", "KD", "kd", 3, 13.7, 2.0, "losses.py"),
        ("recorded", "table1", "CrossKD", "crosskd_3", 0, NAN, NAN, ""),
    ],
    columns=["source", "study", "method", "variant", "n", "mean", "half_width", "stale"],
)


def test_a_bar_a_row_with_its_interval_number_and_source():
    figure = bars_figure(FRAME, metric="AP50", title="Table 1")
    ax = figure.axes[0]
    assert [bar.get_width() for bar in ax.patches] == [38.7, 13.7]
    (segment,) = ax.containers[1].lines[2][0].get_segments()
    assert segment[:, 0] == pytest.approx([11.7, 15.7])
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "paper · A → B · CrossKD (3)",
        "recorded · table1 · KD",
    ]
    (numbers,) = ax.child_axes
    assert [label.get_text() for label in numbers.get_yticklabels()] == ["38.7", "13.7 ± 2.0 *"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["paper", "recorded"]
    assert "AP50" in ax.get_xlabel()


def test_labels_and_numbers_in_words():
    row = {"source": "yours", "study": "race", "method": "none", "variant": NAN}
    assert label_of(row) == "yours · race · none"
    assert number_of({"mean": 1.25, "half_width": NAN, "stale": NAN}) == "1.2"


def test_nothing_to_draw_is_an_error():
    with pytest.raises(LabError, match="no row has a value of AP"):
        bars_figure(FRAME.iloc[2:])
