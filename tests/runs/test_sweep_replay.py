"""The small recorded sweep made again: code and record agree, and a change would be seen."""

import json
import math
from dataclasses import replace

import pytest

from crosskd_lab.engine.provenance import code_version
from crosskd_lab.errors import LabError
from crosskd_lab.files import append_line
from crosskd_lab.report.results import measured_rows, measured_runs
from crosskd_lab.report.sweep_spec import CLOSE, difference, read_confirmed, read_lines, read_sweep
from crosskd_lab.runs.sweep import first_losses_again, replay, run_sweep, scenes_of, threads_of

SMOKE = read_sweep("smoke")
LINES = {line["row"]: line for line in read_lines() if line["sweep"] == "smoke"}


@pytest.fixture(scope="module")
def sets():
    """The smoke sweep's own scenes, drawn anew."""
    return scenes_of(SMOKE)


def test_a_recorded_row_made_from_scratch_is_the_one_recorded(sets, tmp_path):
    line = LINES["crosskd"]
    with threads_of(line):  # rounding depends on them, and ten steps make much of it
        (again,) = run_sweep(SMOKE, ["crosskd"], [0], tmp_path / "runs", tmp_path / "records", sets)
    assert again["status"] == "done", again["reason"]
    assert again["data"] == line["data"] and again["teacher"] == line["teacher"]
    assert again["key"] == line["key"] and again["config_hash"] == line["config_hash"]
    assert again["parameters"] == line["parameters"] and again["command"] == line["command"]
    assert difference(line["begin"], again["begin"]) <= CLOSE, (
        "code and record no longer agree: if the change is meant, record the sweeps again"
    )
    assert again["AP"] == pytest.approx(line["AP"], abs=0.5)


def test_the_first_steps_alone_tell_a_row_and_a_changed_one(tmp_path):
    """A row whose record began with another loss is noted, and shown as stale."""
    other = {**LINES["crosskd"]["begin"], "loss_cls": LINES["crosskd"]["begin"]["loss_cls"] * 2}
    append_line(tmp_path / "smoke.jsonl", LINES["kd"])
    append_line(tmp_path / "smoke.jsonl", {**LINES["crosskd"], "begin": other})
    found = {row: (seed, apart) for row, seed, apart in replay(SMOKE, recorded=tmp_path)}
    assert found["kd"][0] == 0 and found["kd"][1] <= CLOSE
    assert found["crosskd"][1] == pytest.approx(0.5, abs=CLOSE)
    kept = read_confirmed(tmp_path)[LINES["kd"]["key"]]["0"]
    assert kept["recorded"] == LINES["kd"]["date"] and kept["difference"] == found["kd"][1]
    assert kept["commit"] == code_version() and kept["row"] == "smoke, kd"
    rows = measured_rows(measured_runs(SMOKE, tmp_path)).set_index("row")
    assert rows.loc["kd", "stale"] == "" and "seed 0: " in rows.loc["kd", "checked"]
    assert rows.loc["crosskd", "stale"].startswith("first losses 50.0% apart")


def test_another_setting_begins_otherwise(sets):
    line = LINES["kd"]
    other = {**line, "settings": {**line["settings"], "methods.0.reg_weight": 4.1}}
    apart = difference(line["begin"], first_losses_again(SMOKE, other, sets[0]))
    assert apart > CLOSE and math.isfinite(apart)


def test_the_difference_is_the_largest_relative_one():
    begin = {"step": 10.0, "loss": 2.0, "loss_cls": 0.5}
    assert difference(begin, {"loss": 2.2, "loss_cls": 0.5}) == pytest.approx(0.1)
    assert difference(begin, {"loss": 2.0}) == math.inf
    assert difference(begin, {"loss": 2.0, "loss_cls": 0.5, "grad_norm": 3.0}) == 0
    assert difference({}, {}) == math.inf
    for bad in (math.nan, math.inf):
        assert difference(begin, {"loss": 2.0, "loss_cls": bad}) == math.inf
        assert difference(begin, {"loss": bad, "loss_cls": 0.5}) == math.inf


def test_only_what_was_asked_for_is_made_again(tmp_path, monkeypatch):
    """Seeds as named, or the first that is recorded; other losses are written as no number."""
    for seed in (1, 2):
        append_line(tmp_path / "smoke.jsonl", {**LINES["kd"], "seed": seed})
    monkeypatch.setattr("crosskd_lab.runs.sweep.first_losses_again", lambda *_: {"loss_other": 1.0})
    sweep = read_sweep("smoke")
    sweep = type(sweep)(**{**vars(sweep), "seeds": (0, 1, 2)})
    assert list(replay(sweep, recorded=tmp_path)) == [("kd", 1, math.inf)]
    assert list(replay(sweep, ["kd"], [2], tmp_path)) == [("kd", 2, math.inf)]
    kept = json.loads((tmp_path / "confirmed.json").read_text())[LINES["kd"]["key"]]
    assert [kept[seed]["difference"] for seed in ("1", "2")] == [None, None]
    assert measured_runs(sweep, tmp_path)["stale"].str.startswith("other losses").sum() == 2
    with pytest.raises(LabError, match="no row 'pkd'"):
        list(replay(sweep, ["pkd"], recorded=tmp_path))


def test_a_record_of_a_gpu_is_not_held_against_a_cpu(tmp_path, monkeypatch):
    """And hides no other row."""
    append_line(tmp_path / "smoke.jsonl", {**LINES["kd"], "gpus": ["H200"]})
    append_line(tmp_path / "smoke.jsonl", {**LINES["kd"], "seed": 1})
    append_line(tmp_path / "smoke.jsonl", LINES["crosskd"])
    monkeypatch.setattr("crosskd_lab.runs.sweep.first_losses_again", lambda *_: {"loss_other": 1.0})
    rows = replay(replace(SMOKE, seeds=(0, 1)), recorded=tmp_path)
    assert [next(rows)[:2] for _ in range(2)] == [("crosskd", 0), ("kd", 1)]
    with pytest.raises(LabError, match="kd-s0 recorded on a GPU: check it where there is one"):
        next(rows)
    kept = json.loads((tmp_path / "confirmed.json").read_text())[LINES["kd"]["key"]]
    assert kept.keys() == {"1"}
