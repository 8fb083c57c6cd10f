"""``crosskd-lab results`` as a user meets it."""

import re

import pandas as pd
import pytest

from crosskd_lab.files import PROJECT
from crosskd_lab.report.results import results


def test_a_table_with_its_sources(run, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run("results", 1, "--runs", tmp_path, "--csv", tmp_path / "t.csv")
    assert code == 0
    frame = pd.read_csv(tmp_path / "t.csv", float_precision="round_trip")
    assert frame["mean"].tolist() == results(1, runs=tmp_path)["mean"].tolist()
    paper = frame[frame["source"] == "paper"]
    assert sum(line.startswith("paper") for line in out.splitlines()) == len(paper)
    assert "GFL-R50 → GFL-R18" in out and "+2.9" in out


def test_the_page_in_docs_is_todays(run, tmp_path):
    assert run("results", "--page", tmp_path / "r.md")[0] == 0
    page, kept = (f.read_text("utf-8") for f in (tmp_path / "r.md", PROJECT / "docs/results.md"))
    assert page.startswith("# What has been measured")
    assert page == kept, "write it again: crosskd-lab results --page docs/results.md"
    figures = (tmp_path / "results.svg", PROJECT / "docs/results.svg")
    drawn, kept = (figure.read_text("utf-8") for figure in figures)
    ours, theirs = (re.findall(r"Matplotlib v(\d+\.\d+)", figure) for figure in (drawn, kept))
    if ours != theirs:
        pytest.skip(f"Matplotlib {ours} places a figure otherwise than {theirs}: not compared")
    places, before = (
        [float(number) for number in re.findall(r"-?\d+\.\d+", figure)] for figure in (drawn, kept)
    )
    assert places == pytest.approx(before, abs=0.01), "and the figure with it"


def test_an_unknown_metric_is_one_line(run):
    code, _, err = run("results", 1, "--metric", "AR")
    assert code == 1
    assert err.startswith("crosskd-lab: there is no metric 'AR'")
    assert len(err.splitlines()) == 1
