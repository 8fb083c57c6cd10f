"""The table shows what was chosen, in the order asked for, with every number's source."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from PIL import Image

from crosskd_lab.errors import LabError
from crosskd_lab.notebook.tables import EVERY, UP, TableView, arranged, styled

NAN = float("nan")
FRAME = pd.DataFrame(
    [
        ("paper", "A → B", "CrossKD", "3", NAN, 38.7, NAN, 2.9, NAN, NAN, "Table 1 of the paper"),
        ("recorded", "table1", "KD", "kd", 3, 13.7, 2.0, 1.1, 1.05, "losses.py", 'sweep "table1"'),
        ("yours", "race", "none", "", 1, NAN, NAN, NAN, NAN, NAN, "runs/race"),
        ("yours", "race", "KD", "", 1, 14.6, NAN, NAN, NAN, NAN, "runs/race"),
    ],
    columns=[
        *("source", "study", "method", "variant", "n", "mean", "half_width"),
        *("difference", "difference_half_width", "stale", "origin"),
    ],
)


def test_rows_of_a_source_in_an_order_and_those_without_a_value_last():
    assert arranged(FRAME)["mean"].dropna().tolist() == [38.7, 13.7, 14.6]
    assert arranged(FRAME, "yours")["method"].tolist() == ["none", "KD"]
    upwards = arranged(FRAME, EVERY, "mean", UP)["mean"]
    assert upwards.dropna().tolist() == [13.7, 14.6, 38.7] and pd.isna(upwards.iloc[-1])
    assert arranged(FRAME, EVERY, "difference")["difference"].dropna().tolist() == [2.9, 1.1]


def test_every_number_says_where_it_comes_from():
    page = styled(FRAME, "AP50").to_html()
    assert "13.7 ± 2.0 *" in page and "+1.1 ± 1.1" in page and "losses.py" in page
    assert "AP50 (points)" in page
    assert page.count('title="Table 1 of the paper"') == 9, "one on each cell of the row"
    assert 'title="sweep &quot;table1&quot;"' in page
    assert page.count("<svg") == 3 and page.count("<path") == 1, "only one row has an interval"


@pytest.fixture
def view():
    other = FRAME[FRAME["source"] == "paper"]
    none = FRAME.assign(mean=NAN)
    return TableView({(1, "AP"): FRAME, (1, "AP50"): other, (3, "AP"): other, (3, "APS"): none})


def test_a_choice_changes_the_page(view):
    assert "14.6" in view.page.value and "38.7" in view.page.value
    view.source.value = "recorded"
    assert "13.7" in view.page.value and "38.7" not in view.page.value
    view.table.value = 3
    assert "no numbers of this source yet" in view.page.value
    view.source.value = EVERY
    assert "38.7" in view.page.value


def test_a_table_offers_the_metrics_it_has(view):
    assert [value for _, value in view.metric.options] == ["AP", "AP50"]
    view.metric.value = "AP50"
    view.table.value = 3
    assert [value for _, value in view.metric.options] == ["AP"] and view.metric.value == "AP"
    assert "AP (points)" in view.page.value


def test_without_widgets_there_are_bars(view):
    view.by.value = "mean"
    data = view._repr_mimebundle_()
    assert Image.open(io.BytesIO(view.sheet())).width == 1280 and "image/png" in data


def test_a_start_that_is_not_there():
    with pytest.raises(LabError, match="no table 2 of AP"):
        TableView({(1, "AP"): FRAME}, (2, "AP"))
