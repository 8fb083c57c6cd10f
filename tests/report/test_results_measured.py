"""Recorded rows: what is there, what is missing, what no longer repeats; all by hand."""

import json
import math

import pytest

from crosskd_lab.files import append_line
from crosskd_lab.report.results import (
    beside,
    measured_curves,
    measured_rows,
    measured_runs,
    whole_again,
)
from crosskd_lab.report.sweep_spec import Row, Sweep

ROWS = {
    "none": [20.0, 22.0, 21.0],
    "kd": [21.0, 23.0, 25.0],
    "crosskd": [24.0, 27.0],
    "pkd": [],
}
SWEEP = Sweep("s", "", 1, tuple(Row(name, "pocket/" + name, {"x": 1}) for name in ROWS), (0, 1, 2))
METHODS = {"none": [], "kd": [{"type": "PredictionMimicking"}], "crosskd": [{"type": "CrossKD"}]}


def line(row, seed, ap, **more):
    found = {"row": row.name, "key": row.key, "seed": seed, "status": "done", "AP": ap}
    found |= {"method": METHODS[row.name], "steps": 240, "train_seconds": 60.0 + seed}
    found |= {"step_seconds": 0.25, "parameters": 5, "val": {"AP": ap - 1}, "git": {"commit": "c"}}
    return found | {"date": "2026-11-20T08:00:00Z", **more}


@pytest.fixture
def recorded(tmp_path):
    """none and kd with three seeds, crosskd with two and a failed one, pkd not at all."""
    for row in SWEEP.rows:
        for seed, ap in enumerate(ROWS[row.name]):
            append_line(tmp_path / "other.jsonl", line(row, seed, ap))
    failed = {"row": "crosskd", "key": SWEEP.rows[2].key, "seed": 2}
    failed |= {"status": "failed", "reason": "loss is nan"}
    append_line(tmp_path / "s.jsonl", failed)
    return tmp_path


def test_every_declared_run_has_its_line(recorded):
    runs = measured_runs(SWEEP, recorded)
    assert runs["row"].tolist() == [name for name in ROWS for _ in range(3)]
    assert runs["status"].tolist() == ["done"] * 8 + ["failed"] + ["missing"] * 3
    assert runs.iloc[8]["reason"] == "loss is nan"
    assert runs["method"].iloc[[0, 3, 6, 9]].tolist() == ["none", "KD", "CrossKD", "pkd"]
    assert (runs["AP"] - runs["AP_val"]).dropna().eq(1).all()
    assert set(runs["source"]) == {"recorded"}


def test_rows_are_held_against_none_and_kd_seed_by_seed(recorded):
    rows = measured_rows(measured_runs(SWEEP, recorded)).set_index("row")
    assert rows["n"].to_dict() == {"none": 3, "kd": 3, "crosskd": 2, "pkd": 0}
    assert rows.loc["none", "mean"] == 21.0
    assert rows.loc["none", "half_width"] == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    # seeds 0 and 1: 4 and 5 above none, 3 and 4 above KD
    assert rows.loc["crosskd", "to_none"] == 4.5 and rows.loc["crosskd", "to_kd"] == 3.5
    assert rows.loc["crosskd", "to_none_half"] == pytest.approx(12.706205 * 0.5, rel=1e-6)
    assert rows.loc["kd", "to_none"] == pytest.approx(2.0)
    assert rows.loc["none", ["to_none"]].isna().all() and rows.loc["pkd"][["mean"]].isna().all()
    assert rows.loc["crosskd", "train_seconds"] == 60.5


def test_a_row_is_stale_while_its_first_losses_disagree(recorded):
    def checked(seed, apart, of="2026-11-20T08:00:00Z"):
        """Write that a seed of "none" was made again."""
        kept = {"recorded": of, "date": "2026-11-28T01:02:03Z", "difference": apart}
        text = json.dumps({SWEEP.rows[0].key: {str(seed): kept}})
        (recorded / "confirmed.json").write_text(text)
        return measured_rows(measured_runs(SWEEP, recorded)).iloc[0]

    assert measured_rows(measured_runs(SWEEP, recorded))["checked"].tolist() == ["never"] * 4
    row = checked(1, 3e-7)
    assert (row["checked"], row["stale"]) == ("2026-11-28, seed 1: 3e-07", "")
    row = checked(1, 0.031)
    assert (row["checked"], row["stale"]) == (
        "2026-11-28, seed 1: 3e-02",
        "first losses 3.1% apart, 2026-11-28",
    )
    assert checked(1, None)["stale"] == "other losses, 2026-11-28"
    row = checked(1, None, of="2026-11-19T08:00:00Z")
    assert (row["checked"], row["stale"]) == ("never", ""), "that was an older record of this row"


def test_whole_reruns_stand_beside_their_records(tmp_path):
    row, about = SWEEP.rows[0], {"begin": {"step": 10, "loss": 2.0}, "threads": 1}
    append_line(tmp_path / "s.jsonl", line(row, 0, 20.0, **about))
    append_line(tmp_path / "s.jsonl", line(row, 1, 22.0, **about))
    other = {"begin": {"step": 10, "loss": 2.02}, "threads": 2}
    append_line(tmp_path / "again" / "s.jsonl", line(row, 0, 20.5, **other))
    append_line(tmp_path / "again" / "s.jsonl", line(row, 2, 20.5, **other))
    (found,) = whole_again(tmp_path).to_dict("records")
    assert (found["sweep"], found["row"], found["seed"], found["threads"]) == (
        "s",
        "none",
        0,
        "1, 2",
    )
    assert found["apart"] == 0.5 and found["begin"] == pytest.approx(0.01)
    assert whole_again(tmp_path / "nowhere").empty


def test_curves_are_those_of_the_validations(recorded):
    row, curve = SWEEP.rows[3], [{"step": 80, "AP": 1.0}, {"step": 160, "AP": 2.0, "l1_truth": 3.0}]
    pkd = {"status": "done", "method": [{"type": "PKD"}], "curve": curve}
    append_line(recorded / "s.jsonl", {"key": row.key, "seed": 1, **pkd})
    curves = measured_curves(SWEEP, ["pkd"], recorded)
    assert curves[["method", "seed", "step", "AP"]].to_numpy().tolist() == [
        ["PKD", 1, 80, 1.0],
        ["PKD", 1, 160, 2.0],
    ]
    assert curves["l1_truth"].isna().tolist() == [True, False]
    assert measured_curves(SWEEP, ["none"], recorded).empty


def test_before_anything_is_recorded_all_is_missing(tmp_path):
    assert set(measured_runs("table1", tmp_path)["status"]) == {"missing"}
    assert measured_rows(measured_runs("table7", tmp_path))["mean"].isna().all()


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        ("crosskd_3", "kd", "kd"),
        ("crosskd_from_atss", "kd", "kd_from_atss"),
        ("crosskd_from_atss", "none", "none"),
        ("fcos_crosskd", "none", "fcos_none"),
        ("fcos_crosskd", "kd", None),
        ("kd", "kd", None),
        ("kd_cls", "kd", None),
        ("crosskd_cls", "kd", "kd_cls"),
        ("crosskd", "kd", "kd"),
        ("crosskd_kd", "kd", "kd"),
        ("crosskd_none", "none", "none"),
        ("atss_none", "none", None),
        ("atss_none", "kd", "atss_kd"),
        ("atss_kd", "none", "atss_none"),
        ("atss_kd", "kd", None),
    ],
)
def test_a_row_is_held_against_its_own_kind(name, kind, found):
    names = ["none", "kd", "crosskd", "crosskd_3", "kd_from_atss", "crosskd_from_atss"]
    names += ["crosskd_kd", "crosskd_none", "kd_cls", "crosskd_cls", "atss_none", "atss_kd"]
    names = ["fcos_none", "fcos_crosskd"] if name.startswith("fcos") else names
    assert beside(name, kind, names) == found


def test_more_seeds_than_are_declared_count_too(recorded):
    append_line(recorded / "more.jsonl", line(SWEEP.rows[0], 7, 25.0, curve=[{"step": 1, "AP": 9}]))
    runs = measured_runs(SWEEP, recorded)
    assert runs[runs["row"] == "none"]["seed"].tolist() == [0, 1, 2, 7]
    rows = measured_rows(runs).set_index("row")
    assert (rows.loc["none", "n"], rows.loc["none", "mean"]) == (4, 22.0)
    assert rows.loc["kd", "to_none_n"] == 3, "seeds that both have"
    assert measured_curves(SWEEP, ["none"], recorded)["seed"].tolist() == [7]
