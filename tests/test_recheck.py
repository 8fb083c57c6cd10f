"""The small recorded sweep made again: code and record agree, and a change would be seen."""

from __future__ import annotations

import json
import math

import pytest

from crosskd_lab.declared import read_confirmed, read_lines, read_sweep
from crosskd_lab.recheck import CLOSE, confirm, difference, first_losses_again, threads_of
from crosskd_lab.sweep import run_sweep, scenes_of

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
    assert again["parameters"] == line["parameters"]
    assert difference(line["begin"], again["begin"]) <= CLOSE, (
        "code and record no longer agree: if the change is meant, record the sweeps again"
    )
    assert again["AP"] == pytest.approx(line["AP"], abs=0.5)


def test_the_first_steps_alone_tell_a_row_and_a_changed_one(sets):
    line = LINES["kd"]
    assert difference(line["begin"], first_losses_again(SMOKE, line, sets[0])) <= CLOSE
    other = {**line, "settings": {**line["settings"], "methods.0.reg_weight": 4.1}}
    apart = difference(line["begin"], first_losses_again(SMOKE, other, sets[0]))
    assert apart > CLOSE and math.isfinite(apart)


def test_the_difference_is_the_largest_relative_one():
    begin = {"step": 10.0, "loss": 2.0, "loss_cls": 0.5}
    assert difference(begin, {"loss": 2.2, "loss_cls": 0.5}) == pytest.approx(0.1)
    assert difference(begin, {"loss": 2.0}) == math.inf
    assert difference(begin, {"loss": 2.0, "loss_cls": 0.5, "grad_norm": 3.0}) == 0
    assert difference({}, {}) == math.inf


def test_what_is_confirmed_is_the_code_of_today(tmp_path):
    line = {**LINES["kd"], "code": {**LINES["kd"]["code"], "losses.py": "0", "gone.py": "1"}}
    confirm(line["key"], line, tmp_path)
    kept = read_confirmed(tmp_path)[line["key"]]["code"]
    assert kept["losses.py"] not in ("0", None) and "gone.py" not in kept
    assert "evaluate.py" not in kept and "methods/prediction_mimicking.py" in kept
    assert json.loads((tmp_path / "confirmed.json").read_text())
