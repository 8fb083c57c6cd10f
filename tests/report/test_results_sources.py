"""Frames say where their numbers come from."""

import math
import subprocess
import sys

import pytest

from crosskd_lab.engine.record import append_metrics, start_record
from crosskd_lab.errors import LabError
from crosskd_lab.paper import paper_table
from crosskd_lab.report.results import curves


def write_run(folder, types, seed, rows=()):
    start_record(
        folder,
        command=["crosskd-lab", "race"],
        config="",
        seed=seed,
        data={"path": "data/scenes", "checksum": "abc"},
        teacher=None,
        methods=[{"type": name} for name in types],
    )
    for row in rows:
        append_metrics(folder, row)


def test_a_paper_table_has_its_source_and_numbers():
    table = paper_table(5)
    assert set(table["source"]) == {"paper"}
    best = table.loc[table["AP"].where(table["role"] == "distilled").idxmax()]
    assert (best["method"], best["AP"], best["gain"]) == ("CrossKD+PKD", 43.9, 3.7)
    assert table.loc[0, "position"] == ""
    assert math.isnan(paper_table(3).loc[0, "APS"])


@pytest.mark.parametrize("number", [0, 9, "5"])
def test_there_are_eight_tables(number):
    with pytest.raises(LabError, match="Tables 1 to 8"):
        paper_table(number)


def test_an_installation_without_the_papers_numbers(monkeypatch, tmp_path):
    monkeypatch.setattr("crosskd_lab.paper.PAPER", tmp_path)
    with pytest.raises(LabError, match=r"data/paper/table1\.csv is missing"):
        paper_table(1)


def test_before_the_first_run_there_are_no_curves(tmp_path):
    assert curves(tmp_path / "runs").empty
    assert {"method", "seed", "step"} <= set(curves(tmp_path / "runs"))


def test_curves_of_all_runs(tmp_path):
    write_run(tmp_path / "a", ["CrossKD", "PKD"], 0, rows=[{"step": 1, "AP": 2.0}, {"step": 2}])
    write_run(tmp_path / "b", [], 3, rows=[{"step": 1, "loss": 0.5}])
    write_run(tmp_path / "c", [], 4)
    frame = curves(tmp_path)
    assert frame[["run", "method", "seed", "step"]].to_numpy().tolist() == [
        ["a", "CrossKD+PKD", 0, 1],
        ["a", "CrossKD+PKD", 0, 2],
        ["b", "none", 3, 1],
    ]
    assert frame["AP"].isna().tolist() == [False, True, True]


def test_tables_are_read_without_torch_or_mmdet():
    code = "import sys, crosskd_lab.report; print(*({'torch', 'mmdet'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
