"""The page of results says what the records say; tests/cli holds the one in docs against it."""

import json
import math

import pandas as pd
import pytest

from crosskd_lab.files import append_line
from crosskd_lab.report.page import (
    conflict_table,
    markdown,
    results_page,
    superseded_table,
    sweep_section,
    sweep_table,
)
from crosskd_lab.report.sweep_spec import read_sweep


def record(folder, name, **values):
    """AP by row of a sweep, a value a seed."""
    rows = {row.name: row for row in read_sweep(name).rows}
    for row, aps in values.items():
        for seed, ap in enumerate(aps):
            line = {"row": row, "key": rows[row].key, "seed": seed, "status": "done", "AP": ap}
            line |= {"method": [], "steps": 240, "step_seconds": 0.25}
            append_line(folder / f"{name}.jsonl", line)


def test_a_sweep_in_words(tmp_path):
    record(tmp_path, "table4", none=[10, 11, 12], kd=[12, 13, 14], crosskd=[15, 16])
    text = sweep_section("table4", tmp_path)
    lines = text.splitlines()
    assert lines[0] == "## Table 4: plain mimicking added back to CrossKD"
    assert lines[2].startswith("`crosskd_kd` has both losses; `crosskd_double` and `kd_double`,")
    # t(0.975, 2) = 4.303: a standard deviation of 1 over three seeds is 2.5
    assert "| none | 11.0 ± 2.5 (3) | – | -2.0 ± <0.6 (3) | 240 | 0.25 | never |" in lines
    assert "| kd | 13.0 ± 2.5 (3) | +2.0 ± <0.6 (3) | – | 240 | 0.25 | never |" in lines
    assert (
        "| crosskd | 15.5 ± 6.4 (2 of 3) | +5.0 ± <0.6 (2) | +3.0 ± <0.6 (2) | 240 | 0.25 | never |"
        in lines
    )
    assert "| crosskd_kd | – | – | – | – | – | never |" in lines
    assert "stale" not in text


def test_a_table_in_the_slow_regime_is_shown_once_a_row_of_its_own_is_recorded(tmp_path):
    record(tmp_path, "regime", none=[30], kd=[40], crosskd=[42])
    title = "## Table 4: plain mimicking added back to CrossKD, in the slow regime"
    assert title not in results_page(tmp_path)
    record(tmp_path, "table4_slow", crosskd_kd=[44])
    page = results_page(tmp_path)
    lines = page.splitlines()
    section = lines[lines.index(title) :]
    rows = section[next(i for i, line in enumerate(section) if line.startswith("| row")) :]
    assert rows[2].startswith("| none | 30.0 (1 of 3)")
    assert rows[5].startswith("| crosskd_kd | 44.0 (1 of 3) | +14.0 (1) | +4.0 (1) |")
    assert (
        "## Table 1: the layer i whose feature is delivered to the teacher's head, in" not in page
    )


def test_superseded_rows_are_listed_with_what_they_were(tmp_path):
    record(tmp_path, "table5", gid=[5, 6], ld=[7])
    path = tmp_path / "table5.jsonl"
    dated = [json.loads(text) | {"date": "2026-11-21T00:00:00Z"} for text in path.open()]
    path.write_text("".join(json.dumps(line) + "\n" for line in dated))
    entry = {"sweep": "table5", "row": "gid", "before": "2026-11-28", "reason": "other places"}
    (tmp_path / "superseded.json").write_text(json.dumps([entry]))
    assert superseded_table(tmp_path).to_dict("records") == [
        {"sweep": "table5", "row": "gid", "AP then": "5.5 (2)", "why": "other places"}
    ]
    assert "| table5 | gid | 5.5 (2) | other places |" in results_page(tmp_path)


def test_a_shared_machines_time_is_not_told(tmp_path):
    record(tmp_path, "table4", none=[10], kd=[12])
    text = (tmp_path / "table4.jsonl").read_text()
    (tmp_path / "table4.jsonl").write_text(text.replace('"row":"kd"', '"shared":true,"row":"kd"'))
    lines = sweep_section("table4", tmp_path).splitlines()
    assert "| none | 10.0 (1 of 3) | – | -2.0 (1) | 240 | 0.25 | never |" in lines
    assert "| kd | 12.0 (1 of 3) | +2.0 (1) | – | 240 | – | never |" in lines


def test_a_stale_row_says_so():
    row = {"row": "kd", "n": 1, "seeds": 3, "mean": 10.0, "half_width": math.nan}
    row |= {"to_none": -1.25, "to_none_half": math.nan, "to_kd": math.nan, "to_kd_half": math.nan}
    row |= {"to_none_n": 1, "to_kd_n": 0}
    row |= {"steps": 240.0, "step_seconds": 0.3, "checked": "never", "stale": "other losses"}
    (line,) = sweep_table(pd.DataFrame([row])).to_dict("records")
    assert line["stale"] == "other losses"
    assert (line["AP"], line["to none"], line["to KD"]) == ("10.0 (1 of 3)", "-1.2 (1)", "–")


def test_nothing_recorded_says_how_to_record(tmp_path):
    assert "`crosskd-lab sweep table6` records it" in sweep_section("table6", tmp_path)
    page = results_page(tmp_path)
    assert page.index("## Table 8") < page.index("## The fine print")
    assert "## Fig. 3" not in page and "smoke" not in page
    assert page.count("not decided by these data") == page.count("| 0 seeds |\n")


def test_conflict_ratios_keep_the_order_of_the_survey():
    rows = [(t, "all", th, r) for t, r in (("b", 0.5), ("a", 0.25)) for th in (0.3, 0.5, 0.7, 0.9)]
    frame = pd.DataFrame(rows, columns=["teacher", "by", "threshold", "ratio"])
    table = conflict_table(frame)
    assert table.columns.tolist() == ["teacher", "above 0.3", "above 0.5", "above 0.7"]
    assert table.to_numpy().tolist() == [["b", *["0.500"] * 3], ["a", *["0.250"] * 3]]


@pytest.mark.parametrize("value", ["one", 2])
def test_markdown(value):
    assert markdown(pd.DataFrame({"a": [value]})) == f"| a |\n| --- |\n| {value} |\n"
