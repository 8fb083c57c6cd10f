"""Verdicts follow from intervals, and from nothing else."""

import json
import math

import pandas as pd
import pytest

from crosskd_lab.files import append_line
from crosskd_lab.report.claims import (
    CLAIMS,
    FAILED,
    HELD,
    OPEN,
    TEACHERS,
    compare_claims,
    conflict_claim,
    joint,
    judge_claims,
    verdict_of,
)
from crosskd_lab.report.sweep_spec import read_sweep


@pytest.mark.parametrize(
    ("difference", "half", "verdict"),
    [
        (2.0, 1.9, HELD),
        (2.0, 2.0, OPEN),
        (-2.0, 2.1, OPEN),
        (-2.0, 1.9, FAILED),
        (5.0, math.nan, OPEN),
        (math.nan, math.nan, OPEN),
    ],
)
def test_zero_inside_the_interval_decides_nothing(difference, half, verdict):
    assert verdict_of(difference, half, 3) == verdict
    assert verdict_of(difference, half, 2) == OPEN


def test_a_claim_needs_all_of_its_comparisons():
    assert joint([HELD, HELD]) == HELD
    assert joint([HELD, OPEN]) == OPEN
    assert joint([OPEN, FAILED, HELD]) == FAILED


def record(folder, sweep, **values):
    """AP by row, a value a seed."""
    rows = {row.name: row for row in read_sweep(sweep).rows}
    for name, aps in values.items():
        for seed, ap in enumerate(aps):
            line = {"row": name, "key": rows[name].key, "seed": seed, "status": "done", "AP": ap}
            append_line(folder / f"{sweep}.jsonl", {**line, "method": []})


def test_records_are_judged_claim_by_claim(tmp_path):
    record(tmp_path, "table1", none=[10, 11, 12], kd=[15.1, 16, 17.2], crosskd_0=[14, 15, 17])
    record(tmp_path, "table1", crosskd_3=[15, 16, 17], crosskd_4=[16.0, 17.1, 18.2])
    record(tmp_path, "table4", crosskd_kd=[13.0, 14.1, 14.9])
    compared = compare_claims(recorded=tmp_path)
    judged = judge_claims(compared).set_index("claim")
    assert list(judged.index) == list(CLAIMS)
    verdicts = judged["verdict"].to_dict()
    assert verdicts["every position"] == OPEN, "positions 1 and 2 are not recorded"
    assert verdicts["the third"] == FAILED, "i = 4 is 1.1 above i = 3 in every seed"
    assert verdicts["mimicking"] == OPEN and verdicts["adding KD back"] == HELD
    assert verdicts["features"] == verdicts["unlike teachers"] == OPEN
    assert judged.loc["every position", "seeds"] == 0 and judged.loc["mimicking", "seeds"] == 3
    row = compared.query("comparison == 'crosskd_3 above crosskd_4'").iloc[0]
    assert row["difference"] == pytest.approx(-1.1)
    assert row["half_width"] == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-5)


def test_what_a_claim_asks_for_is_taken_off(tmp_path):
    last = {"crosskd_0": [10.3, 11.31, 12.29], "crosskd_1": [9.3, 10.31, 11.29]}
    record(tmp_path, "table1", kd=[10, 11, 12], **last)
    compared = compare_claims({"four tenths": CLAIMS["four tenths"]}, tmp_path)
    rows = compared.set_index("comparison")
    row = rows.loc["crosskd_1 above kd by 0.4"]
    assert row["difference"] == pytest.approx(-1.1) and row["verdict"] == FAILED
    row = rows.loc["crosskd_0 above kd by 0.4"]
    assert row["difference"] == pytest.approx(-0.1)
    assert row["verdict"] == OPEN, "whole runs made again differ by more than such an interval"


def test_students_are_held_against_their_teachers_number(tmp_path):
    teacher = json.loads((TEACHERS / "atss_r18_w32" / "record.json").read_text())
    ap = teacher["held_out"]["mean"]
    record(tmp_path, "table6", atss_crosskd=[ap + 1, ap + 2, ap + 3])
    compared = compare_claims({"x": CLAIMS["above the teachers"]}, tmp_path)
    row = compared.query("comparison == 'atss_crosskd above atss_r18_w32'").iloc[0]
    assert row["n"] == 3 and row["difference"] == pytest.approx(2.0)
    assert row["half_width"] == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


def test_distances_and_first_validations_are_compared_too(tmp_path):
    rows = {row.name: row for row in read_sweep("regime").rows}
    for name, far, early in (("kd", 5.0, 3.0), ("crosskd", 4.0, 8.0)):
        for seed in range(3):
            line = {"key": rows[name].key, "seed": seed, "status": "done", "method": [], "AP": 9}
            line |= {"row": name, "val": {"l1_truth": far + seed}, "curve": [{"AP": early - seed}]}
            append_line(tmp_path / "regime.jsonl", line)
    found = compare_claims(recorded=tmp_path).set_index("comparison")["difference"]
    assert found["kd above crosskd in l1_truth"] == 1.0
    assert found["crosskd above kd in AP_first"] == 5.0


def test_one_seed_decides_nothing(tmp_path):
    record(tmp_path, "table1", crosskd_3=[30], kd=[10])
    compared = compare_claims({"mimicking": CLAIMS["mimicking"]}, tmp_path)
    assert compared["difference"].item() == 20 and compared["verdict"].item() == OPEN


def test_conflict_orders_the_teachers():
    claim = conflict_claim({"kd_from_atss": 0.3, "kd": 0.2, "kd_from_retinanet": 0.9})
    assert [(c.better, c.worse) for c in claim.comparisons] == [
        ("kd", "kd_from_atss"),
        ("kd_from_atss", "kd_from_retinanet"),
    ]
    assert {c.sweep for c in claim.comparisons} == {"pairs"}
    rows = {row.name for row in read_sweep("pairs").rows}
    assert {"kd", "kd_from_atss", "kd_from_retinanet"} <= rows


def test_every_comparison_is_of_declared_rows():
    for claim in CLAIMS.values():
        for sweep, better, worse, *_ in claim.comparisons:
            rows = {row.name for row in read_sweep(sweep).rows}
            assert better in rows
            assert worse in rows or (TEACHERS / worse / "record.json").is_file()


def test_a_frame_of_nothing_judges_nothing():
    assert judge_claims(pd.DataFrame(columns=["claim", "verdict", "n"])).empty
