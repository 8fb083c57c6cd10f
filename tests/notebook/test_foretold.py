"""Gains come from recorded runs of the same seed, and nothing is said where there are none."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from crosskd_lab.notebook.foretold import (
    PAIRS,
    SWEEP,
    foretold,
    recorded_gains,
    recorded_ratios,
    tell_foretold,
)
from crosskd_lab.report.sweep_spec import read_sweep


@pytest.fixture
def recorded(tmp_path):
    """Runs of Table 7's ATSS teacher: seed 0 of both methods, seed 1 of KD alone."""
    rows = {row.name: row for row in read_sweep("table7").rows}
    aps = [("kd_from_atss", 0, 10.0), ("crosskd_from_atss", 0, 12.5), ("kd_from_atss", 1, 11.0)]
    lines = [
        {"row": name, "key": rows[name].key, "seed": seed, "status": "done", "AP": ap}
        for name, seed, ap in aps
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "table7.jsonl").write_text(text)
    return tmp_path


def test_every_pair_is_declared():
    declared = {row.name for row in read_sweep(SWEEP).rows}
    assert declared == {"none"} | {row for rows in PAIRS.values() for row in rows}
    assert {row.key for row in read_sweep("table7").rows} < {
        row.key for row in read_sweep(SWEEP).rows
    }, "Table 7's runs serve both"


def test_gains_are_of_seeds_that_both_methods_have(recorded):
    assert recorded_gains("atss_r18_w32", recorded).to_dict() == {0: 2.5}
    assert recorded_gains("retinanet_r18_w32", recorded).empty


def test_a_ratio_stands_beside_each_gain(recorded):
    frame = foretold({"atss_r18_w32": 0.75, "mine": 0.5}, recorded)
    assert frame.to_dict("records") == [
        {"pair": "gfl from atss", "ratio": 0.75, "seed": 0, "gain": 2.5}
    ]


def test_ratios_are_those_of_the_recorded_survey(tmp_path):
    assert recorded_ratios(recorded=tmp_path) == {}
    rows = [
        ("atss_r18_w32", "all", 0.5, 0.25),
        ("atss_r18_w32", "level", 0.5, 9.0),
        ("atss_r18_w32", "all", 0.51, 9.0),
        ("fcos_r18_w32", "all", 0.5, 0.5),
    ]
    (tmp_path / "figure3").mkdir()
    frame = pd.DataFrame(rows, columns=["teacher", "by", "threshold", "ratio"])
    frame.to_csv(tmp_path / "figure3" / "conflict.csv", index=False)
    assert recorded_ratios(0.5, tmp_path) == {"atss_r18_w32": 0.25, "fcos_r18_w32": 0.5}
    assert set(recorded_ratios()) == set(PAIRS)


def test_what_is_said_of_one_pair_and_of_none(recorded, capsys):
    frame = foretold({"atss_r18_w32": 0.75}, recorded)
    assert tell_foretold(frame) is not None
    assert "One pair has" in capsys.readouterr().out
    assert tell_foretold(frame[:0]) is None
    assert "is recorded yet" in capsys.readouterr().out
