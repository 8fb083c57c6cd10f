"""Notebook 13's judgement of Fig. 3 and Fig. 5, and the recorded surveys behind it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from crosskd_lab.data.scene_sets import write_scenes
from crosskd_lab.notebook.surveyed import TEACHERS, conflict_ratios, focus, judge_conflict
from crosskd_lab.report.claims import HELD, OPEN
from crosskd_lab.report.sweep_spec import RECORDED, TEST, append_line, read_sweep
from crosskd_lab.runs.dataset_analysis import open_survey, survey_conflict


@pytest.fixture
def recorded(tmp_path):
    """Three seeds of the students that mimicked three teachers."""
    rows = {row.name: row for row in read_sweep("table7").rows}
    aps = {"kd": [11, 12.1, 13], "kd_from_atss": [9, 10, 11.1], "kd_from_retinanet": [9, 10.1, 11]}
    for name, values in aps.items():
        for seed, ap in enumerate(values):
            line = {"row": name, "key": rows[name].key, "seed": seed, "status": "done", "AP": ap}
            append_line(tmp_path / "table7.jsonl", line | {"method": []})
    return tmp_path


def test_conflict_is_judged_in_the_order_that_was_measured(recorded):
    rows = ("kd", "kd_from_atss", "kd_from_retinanet")
    ratios = pd.DataFrame({"row": rows, "ratio": (0.2, 0.5, 0.4)})
    compared, judged = judge_conflict(ratios, recorded)
    assert compared["comparison"].tolist() == [
        "kd above kd_from_retinanet",
        "kd_from_retinanet above kd_from_atss",
    ]
    assert compared["verdict"].tolist() == [HELD, OPEN]
    assert judged["verdict"].tolist() == [OPEN]


def test_the_recorded_survey_is_read_where_there_is_no_own_data(tmp_path):
    folder = tmp_path / "figure3"
    folder.mkdir()
    made = {"teachers": {name: {"images": 7} for name in TEACHERS.values()}}
    (folder / "made.json").write_text(json.dumps(made))
    rows = [
        (teacher, by, threshold, ratio + (threshold == 0.5) / 4)
        for teacher, ratio in zip(TEACHERS.values(), (0.25, 0.5, 0.75, 1.0), strict=True)
        for by in ("all", "level")
        for threshold in (0.4, 0.5)
    ]
    frame = pd.DataFrame(rows, columns=["teacher", "by", "threshold", "ratio"])
    frame.to_csv(folder / "conflict.csv", index=False)
    found = conflict_ratios("smoke", recorded=tmp_path)
    assert found["row"].tolist() == list(TEACHERS)
    assert found["ratio"].tolist() == [0.5, 0.75, 1.0, 1.25]
    assert set(found["images"]) == {7}


def test_the_recorded_gradients_have_what_fig_5_compares():
    frame = focus("smoke")
    assert {"CrossKD", "PKD"} <= set(frame.query("where == 'neck'")["loss"])
    assert ("cls", 3) in set(zip(frame["where"], frame["i"], strict=True))
    assert frame["image"].nunique() == 200


def test_figure_3_is_made_again(tmp_path):
    """The recorded curve of one teacher, from the drawing of the test split to the last count."""
    write_scenes(tmp_path / "scenes", **TEST)
    survey = open_survey("gfl_r18_w32", "pocket/gfl_r18_w16", tmp_path / "scenes", "test")
    now = survey_conflict(survey).frame()
    kept = pd.read_csv(RECORDED / "figure3" / "conflict.csv").query("teacher == 'gfl_r18_w32'")
    made = json.loads((RECORDED / "figure3" / "made.json").read_text())
    assert made["teachers"]["gfl_r18_w32"]["annotations"] == survey.identity["annotations"]
    assert made["git"]["dirty"] is False
    assert now["positives"].tolist() == kept["positives"].tolist()
    # rounding of another processor may carry a location over an edge between two bins
    apart = np.abs(now["conflicts"].to_numpy() - kept["conflicts"].to_numpy())
    assert (apart <= 2 + 0.001 * kept["positives"].to_numpy()).all()
