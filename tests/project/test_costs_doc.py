"""docs/costs.md against the two files of costs, and its arithmetic against a recount."""

import importlib
import re
from pathlib import Path

import pandas as pd
import pytest

from crosskd_lab.methods import METHODS
from crosskd_lab.report.sweep_spec import RECORDED

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
TIMES = pd.read_csv(RECORDED / "method_costs.csv").query("device == 'cpu'").set_index("method")
OPERATIONS = pd.read_csv(RECORDED / "method_operations.csv").set_index("method")
COUNTS = ["multiply-adds, %", "bytes touched, %", "operations, %"]


@pytest.fixture(scope="module")
def shares():
    """By method, dearest first: own ms and MB, then shares of the student's own step."""
    time, counts = TIMES.loc["none", "ms"], OPERATIONS.loc["none"]
    table = TIMES[["own_ms", "own_mb"]].rename(columns={"own_ms": "own ms", "own_mb": "own MB"})
    table["time, %"] = TIMES["own_ms"] / time
    for name, column in zip(COUNTS, ("mmac", "moved_mb", "calls"), strict=True):
        table[name] = OPERATIONS[f"own_{column}"] / counts[column]
    table[["time, %", *COUNTS]] = (100 * table[["time, %", *COUNTS]]).round(1)
    return table.loc[list(METHODS)].sort_values("own ms", ascending=False)


def test_every_row_is_the_files_one(shares):
    assert set(shares.index) == set(METHODS)
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT, re.MULTILINE)
    assert [name for name, _ in rows] == list(shares.index), "dearest first"
    for name, cells in rows:
        own, memory, *parts = shares.loc[name]
        wanted = [f"{own:.1f}", f"{memory:.1f}", *(f"{part:.1f} %" for part in parts)]
        assert cells.split(" | ") == wanted, name


def test_no_method_takes_more_time_than_what_it_does_explains(shares):
    slower = shares[shares["time, %"] > shares[COUNTS].max(axis=1)]
    assert slower.empty, f"say in docs/costs.md why these are slow, or make them faster:\n{slower}"


@pytest.mark.parametrize(
    ("heading", "name", "columns"),
    [
        ("CrossKD", "crosskd", ["multiply-adds, %", "time, %", "bytes touched, %"]),
        ("FGD", "fgd", [*COUNTS, "time, %"]),
        ("SKD", "skd", ["multiply-adds, %", "bytes touched, %", "time, %"]),
    ],
)
def test_the_prose_of_the_dearest_is_the_table_s(shares, heading, name, columns):
    (part,) = re.findall(rf"^## {heading}: .*?\n(.*?)(?=^## )", TEXT, re.MULTILINE | re.DOTALL)
    said = re.findall(r"([\d.]+) %", part)
    assert said == [f"{shares.loc[name, column]:.1f}" for column in columns]


def test_the_dearest_three_are_those_explained_and_who_keeps_most(shares):
    assert set(shares.index[:3]) == {"crosskd", "fgd", "skd"}
    kept = shares["own MB"].sort_values(ascending=False)
    assert list(kept.index[:2]) == ["skd", "crosskd"] and kept.iloc[2] < kept.iloc[1] / 3
    assert f"{kept['skd']:.1f} MB for the backward, CrossKD {kept['crosskd']:.1f} MB" in TEXT


def test_crosskd_s_multiply_adds_by_hand_and_by_recount(monkeypatch):
    sides = [20, 10, 5, 3, 2]  # of 160 pixels at strides 8 ... 128
    places = 16 * sum(side**2 for side in sides)
    forward = places * 9 * 64 * (64 + 64 + 10 + 4 * 17)
    assert f"{places:,} locations" in TEXT and f"= {forward / 1e6:,.0f} million times" in TEXT
    assert f"That makes {2 * forward / 1e6:,.0f} million" in TEXT
    assert OPERATIONS.loc["crosskd", "own_mmac"] == pytest.approx(2 * forward / 1e6, abs=1e-3)
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    operations = importlib.import_module("operations")
    again = operations.counted(["crosskd"], operations.batch_of(2, 160)).set_index("method")
    assert again.loc["crosskd", "own_mmac"] == pytest.approx(2 * forward / 8e6, abs=1e-3)
