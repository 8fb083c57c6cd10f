"""Paper, recorded and yours in one table, each row against its own baseline."""

import json
import math

import pytest

from crosskd_lab.engine.record import finish_record
from crosskd_lab.errors import LabError
from crosskd_lab.files import append_line
from crosskd_lab.report.results import COLUMNS, results
from crosskd_lab.report.sweep_spec import read_sweep


@pytest.fixture
def write_run(begin):
    def write(folder, methods, seed, ap=None, kinds=None):
        teacher = kinds and {"name": f"{kinds[0]}_r18_w32.safetensors", "sha256": "abc"}
        extra = kinds and {"student": kinds[1]}
        begin(folder, seed=seed, teacher=teacher, methods=methods, extra=extra)
        if ap is not None:
            finish_record(folder, "done", {"AP": ap, "AP50": ap + 10})

    return write


@pytest.fixture
def runs(tmp_path, write_run):
    """Two seeds: alone 20 and 22, CrossKD(i=2) 24 and 24; a study without a baseline; one open."""
    for seed, alone, crossed in ((0, 20.0, 24.0), (1, 22.0, 24.0)):
        write_run(tmp_path / "race" / f"none-s{seed}", [], seed, alone)
        write_run(tmp_path / "race" / f"c-s{seed}", [{"type": "CrossKD", "i": 2}], seed, crossed)
    write_run(tmp_path / "race" / "none-s2", [], 2)
    write_run(tmp_path / "race" / "other", [{"type": "FGD"}], 0, 30.0)
    write_run(tmp_path / "else" / "c", [{"type": "CrossKD"}], 0, 99.0)
    return tmp_path


def one(frame, **wanted):
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    (row,) = frame.to_dict("records")
    return row


def test_the_papers_rows_are_held_against_its_own_student(tmp_path):
    frame = results(1, runs=tmp_path, recorded_runs=tmp_path)
    assert list(frame.columns) == COLUMNS
    assert (frame["source"] == "paper").all()
    best = one(frame, method="CrossKD", variant="3")
    assert (best["study"], best["mean"]) == ("GFL-R50 → GFL-R18", 38.7)
    assert best["difference"] == pytest.approx(38.7 - 35.8)
    assert math.isnan(best["n"]) and math.isnan(best["half_width"]) and math.isnan(best["p_t"])
    assert math.isnan(one(frame, method="none")["difference"])


def test_each_pair_has_its_own_baseline_from_another_table_where_its_own_has_none():
    """Table 3 prints no student alone; Table 1 has it for the same pair: 35.8. Table 7:
    RetinaNet-R101 pulls GFL-R50 from 40.2 down to 30.3. Table 5 prints its gains."""
    frame = results(3, sources=["paper"])
    assert one(frame, method="LD", variant="reg")["difference"] == pytest.approx(36.8 - 35.8)
    harmed = one(results(7, sources=["paper"]), study="RetinaNet-R101 → GFL-R50", method="KD")
    assert harmed["difference"] == pytest.approx(-9.9)
    frame = results(5, sources=["paper"])
    assert one(frame, method="CrossKD+PKD")["difference"] == pytest.approx(3.7)
    assert one(frame, method="FitNets")["difference"] == pytest.approx(0.5)


def test_runs_are_paired_by_seed_within_their_study(runs, tmp_path):
    frame = results(1, runs=runs, recorded_runs=tmp_path / "none")
    mine = one(frame, source="yours", variant="CrossKD(i=2)")
    assert (mine["study"], mine["n"], mine["mean"]) == ("race", 2, 24.0)
    # Differences 4 and 2: mean 3, s = sqrt(2), half width 12.7062 * sqrt(2) / sqrt(2).
    assert mine["difference"] == 3.0
    assert mine["difference_half_width"] == pytest.approx(12.7062, abs=1e-3)
    assert mine["p_sign_flip"] == 0.5  # two of four sign patterns are as far out
    alone = one(frame, source="yours", method="none")
    assert (alone["n"], alone["mean"]) == (2, 21.0)  # the run that is open does not count
    assert math.isnan(one(frame, source="yours", study="else")["difference"])


def test_runs_that_would_be_one_run_twice_stand_beside_each_other(runs, tmp_path, write_run):
    """Notebook 09 leaves two: the library's and the learner's, of one seed and equal options."""
    write_run(tmp_path / "race" / "mine-s0", [{"type": "CrossKD", "i": 2}], 0, 30.0)
    write_run(tmp_path / "race" / "c-s4", [{"type": "CrossKD", "i": 3}], 0, 31.0)
    frame = results(1, runs=runs, recorded_runs=tmp_path / "none").query("study == 'race'")
    found = frame.set_index("variant")[["n", "mean"]].drop(index="")
    assert found.T.to_dict("list") == {"c": [2, 24.0], "mine": [1, 30.0], "CrossKD(i=3)": [1, 31.0]}
    assert one(frame, variant="mine")["difference"] == 30.0 - 20.0


def test_only_methods_of_the_table_are_shown_and_its_ld_is_this_labs_kd(runs, tmp_path, write_run):
    shown = results(1, runs=runs, recorded_runs=tmp_path / "none").query("source == 'yours'")
    assert set(shown["method"]) == {"none", "CrossKD"}
    assert "FGD" in set(results(5, runs=runs)["method"])
    write_run(tmp_path / "own" / "race" / "kd", [{"type": "PredictionMimicking"}], 0, 21.0)
    assert results(4, "AP50", ["yours"], runs=tmp_path / "own")["mean"].tolist() == [31.0]


def test_what_is_not_there_is_named(tmp_path):
    assert results(1, sources=["yours"], runs=tmp_path).empty
    with pytest.raises(LabError, match="Tables 1 to 8"):
        results(9)
    with pytest.raises(LabError, match="AP75"):
        results(1, "mAP")
    with pytest.raises(LabError, match="theirs"):
        results(1, sources=["theirs"])


def test_a_tables_own_sweep_is_read_from_its_records(tmp_path, write_run):
    """Table 4's rows none and crosskd, recorded by another sweep under other names."""
    rows = {row.name: row for row in read_sweep("table4").rows}
    for seed, alone, crossed in ((0, 20.0, 24.0), (1, 22.0, 28.0)):
        for name, methods, ap in (("none", [], alone), ("crosskd", [{"type": "CrossKD"}], crossed)):
            line = {"row": "x", "key": rows[name].key, "seed": seed, "status": "done", "AP": ap}
            line |= {"method": methods, "steps": 240, "train_seconds": 60}
            append_line(tmp_path / "table1.jsonl", line)
    check = {"recorded": None, "date": "2026-11-28T01:02:03Z", "difference": 0.5}
    kept = json.dumps({rows["crosskd"].key: {"0": check}})
    (tmp_path / "confirmed.json").write_text(kept)
    write_run(tmp_path / "race" / "c", [{"type": "CrossKD"}], 0, 34.0)
    both = results(4, sources=["recorded", "yours"], runs=tmp_path, recorded_runs=tmp_path)
    assert both["source"].tolist() == ["recorded", "recorded", "yours"], "kept apart"
    assert both["mean"].tolist() == [21.0, 26.0, 34.0]
    frame = results(4, sources=["recorded"], recorded_runs=tmp_path)
    assert list(frame.columns) == COLUMNS and frame["variant"].tolist() == ["none", "crosskd"]
    row = one(frame, method="CrossKD")
    assert (row["n"], row["mean"], row["difference"], row["steps"]) == (2, 26.0, 5.0, 240)
    assert (row["study"], row["source"]) == ("table4", "recorded")
    assert row["stale"] == "first losses 50.0% apart, 2026-11-28"
    assert row["difference_half_width"] == pytest.approx(12.706205, rel=1e-6)
    assert 0 < row["p_t"] < 1 and row["p_sign_flip"] == pytest.approx(0.5)
    assert math.isnan(one(frame, method="none")["difference"])


@pytest.mark.parametrize(
    ("kinds", "tables"),
    [
        (("gfl", "GFL"), [1, 2, 3, 4, 5]),
        (("atss", "GFL"), [7]),
        (("retinanet", "RetinaNet"), [6, 8]),
        (("fcos", "FCOS"), [6]),
        (("fcos", "GFL"), []),
        (("mine", "GFL"), [1, 2, 3, 4, 5, 7]),
        (None, [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_a_run_stands_in_the_tables_of_its_own_kinds(tmp_path, kinds, tables, write_run):
    write_run(tmp_path / "mine" / "c", [{"type": "CrossKD"}], 0, 20.0, kinds)
    found = [n for n in range(1, 9) if len(results(n, sources=["yours"], runs=tmp_path))]
    assert found == tables


@pytest.mark.parametrize(
    ("table", "kind", "method"),
    [(5, "InsideGT", "InsideGT"), (5, "FineGrained", "FineGrained"), (3, "CrossKD", "CrossKD")],
)
def test_your_runs_have_their_place_by_either_name_and_their_own_baseline(
    tmp_path, write_run, table, kind, method
):
    """The paper prints other names than the classes', and no student alone in Table 3."""
    for seed in (0, 1):
        write_run(tmp_path / "race" / f"none-s{seed}", [], seed, 20.0)
        write_run(tmp_path / "race" / f"mine-s{seed}", [{"type": kind}], seed, 23.0 + seed)
    frame = results(table, sources=["yours"], runs=tmp_path, recorded_runs=tmp_path)
    mine = one(frame, method=method)
    assert (mine["n"], mine["mean"], mine["difference"]) == (2, 23.5, 3.5)


def test_runs_of_one_seed_that_are_called_alike_keep_their_folders_names(tmp_path, write_run):
    write_run(tmp_path / "race" / "crosskd", [{"type": "CrossKD"}], 0, 20.0)
    write_run(tmp_path / "race" / "crosskd-s0", [{"type": "CrossKD"}], 0, 24.0)
    frame = results(1, sources=["yours"], runs=tmp_path, recorded_runs=tmp_path)
    assert dict(zip(frame["variant"], frame["mean"], strict=True)) == {
        "crosskd": 20.0,
        "crosskd-s0": 24.0,
    }
