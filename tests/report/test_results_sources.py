"""Frames say where their numbers come from."""

import math

import pytest

from crosskd_lab.engine.record import append_metrics
from crosskd_lab.errors import LabError
from crosskd_lab.paper import paper_table
from crosskd_lab.report.results import curves


@pytest.fixture
def write_run(begin):
    def write(folder, types, seed, rows=()):
        begin(folder, seed=seed, methods=[{"type": name} for name in types])
        for row in rows:
            append_metrics(folder, row)

    return write


def test_a_paper_table_has_its_source_and_numbers():
    table = paper_table(5)
    assert set(table["source"]) == {"paper"}
    best = table.loc[table["AP"].where(table["role"] == "distilled").idxmax()]
    assert (best["method"], best["AP"], best["gain"]) == ("CrossKD+PKD", 43.9, 3.7)
    assert table.loc[0, "position"] == ""
    assert math.isnan(paper_table(3).loc[0, "APS"])


def test_tables_that_are_not_there_are_named(monkeypatch, tmp_path):
    for number in (0, 9, "5"):
        with pytest.raises(LabError, match="Tables 1 to 8"):
            paper_table(number)
    monkeypatch.setattr("crosskd_lab.paper.PAPER", tmp_path)
    with pytest.raises(LabError, match=r"data/paper/table1\.csv is missing"):
        paper_table(1)


def test_curves_of_all_runs(tmp_path, write_run):
    assert curves(tmp_path / "runs").empty, "before the first run"
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
