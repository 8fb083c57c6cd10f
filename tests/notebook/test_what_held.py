"""Notebook 13 says what the records say, for records that are made up."""

from __future__ import annotations

import pytest

from crosskd_lab.notebook import surveyed
from crosskd_lab.notebook.what_held import (
    REASONS,
    both_regimes,
    check_verdict,
    claim_frames,
    cost_picture,
    curves_picture,
    explain,
    not_recorded,
    reason,
)
from crosskd_lab.report.claims import CLAIMS, FAILED, HELD, OPEN, compare_claims, judge_claims
from crosskd_lab.report.sweep_spec import append_line, read_sweep, sweeps


def record(folder, sweep, **values):
    """AP by row, a value a seed."""
    rows = {row.name: row for row in read_sweep(sweep).rows}
    for name, aps in values.items():
        for seed, ap in enumerate(aps):
            line = {"row": name, "key": rows[name].key, "seed": seed, "status": "done", "AP": ap}
            line |= {"method": [], "steps": 240, "step_seconds": 0.1}
            append_line(folder / f"{sweep}.jsonl", line)


@pytest.fixture
def recorded(tmp_path):
    record(tmp_path, "table1", none=[10, 11, 12], kd=[11, 12.1, 13], crosskd_3=[15, 16.1, 17.2])
    record(tmp_path, "table7", kd_from_atss=[9, 10, 11.1], kd_from_retinanet=[9, 10.1, 11])
    return tmp_path


def test_every_claim_has_its_picture_and_its_reason(recorded):
    compared = compare_claims(recorded=recorded)
    judged = judge_claims(compared)
    frames = claim_frames(compared, judged)
    assert list(frames.pictures) == list(CLAIMS)
    text = explain(judged)
    assert f"own head* (Tab. 1, Sec. 4.2): **{HELD}**. Likely: {REASONS['mimicking'][HELD]}" in text
    assert "a row that it needs is not recorded yet" in text
    assert set(REASONS) <= {*CLAIMS, "conflict"}


def test_an_open_claim_says_why():
    assert "fewer than 3 seeds" in reason("features", OPEN, 2)
    assert "3 seeds the intervals reach over zero" in reason("features", OPEN, 3)
    assert reason("features", FAILED, 3) == REASONS["features"][FAILED]


def test_cost_is_drawn_or_its_absence_said(recorded, capsys):
    (ax,) = cost_picture("table1", recorded).axes
    assert {text.get_text() for text in ax.texts} == {"none", "kd", "crosskd_3"}
    assert cost_picture("table2", recorded / "nowhere") is None
    assert "'crosskd-lab sweep table2' records it" in capsys.readouterr().out


def test_curves_are_drawn_or_their_absence_said(recorded, capsys):
    assert curves_picture(recorded=recorded) is None, "records without a curve"
    assert "'crosskd-lab sweep table1' records it" in capsys.readouterr().out
    row = read_sweep("table1").rows[0]
    line = {"key": row.key, "seed": 0, "status": "done", "method": []}
    point = {"step": 80, "AP": 1.0, "l1_teacher": 2.0, "l1_truth": 3.0}
    append_line(recorded / "table1.jsonl", {**line, "curve": [point]})
    assert len(curves_picture(recorded=recorded).axes) == 3


def test_both_regimes_stand_side_by_side(recorded):
    record(recorded, "regime", none=[30.0, 31.0], crosskd=[33.0, 34.2])
    table = both_regimes(recorded)
    assert table.loc[("fast", "CrossKD"), "to KD"] == "+4.1 ± <0.6 (3)"
    assert table.loc[("slow", "none"), "AP"].startswith("30.5 ± ")
    assert table.loc[("slow", "KD"), "AP"] == "–"
    assert table.loc[("slow", "CrossKD"), "to none"] == "+3.1 ± 1.3 (2)"


def test_what_is_missing_is_listed(recorded):
    table = not_recorded(recorded)
    assert list(table.index) == sweeps()
    assert table.loc["table1", ["done", "failed", "missing"]].tolist() == [9, 0, 12]
    assert "crosskd_0 (0 of 3)" in table.loc["table1", "rows with fewer seeds"]
    assert "crosskd_3" not in table.loc["table1", "rows with fewer seeds"]


def test_the_rows_of_conflict_are_declared_and_their_teachers_shipped():
    rows = {row.name: row for row in read_sweep("pairs").rows}
    for name, teacher in surveyed.TEACHERS.items():
        assert rows[name].settings.get("teacher.checkpoint", "gfl_r18_w32") == teacher


def test_the_judge_of_verdicts():
    def by_interval(differences):
        n = len(differences)
        if n < 2:
            return "not decided"
        mean = sum(differences) / n
        half = 4.303 * (sum((d - mean) ** 2 for d in differences) / (n - 1) / n) ** 0.5
        return "held" if mean > half else "did not hold" if mean < -half else "not decided"

    def by_normal(differences):
        n = max(len(differences), 2)
        mean = sum(differences) / len(differences)
        half = 1.96 * (sum((d - mean) ** 2 for d in differences) / (n - 1) / n) ** 0.5
        return "held" if mean > half else "did not hold" if mean < -half else "not decided"

    assert check_verdict(by_interval).startswith("Right")
    assert "t is 4.30, not 1.96" in check_verdict(by_normal)
    assert check_verdict(lambda d: "held").startswith("Not yet")
