"""Places in the paper lead to the code, and the code says it back."""

import inspect
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from crosskd_lab import paper
from crosskd_lab.cross_head import cross_head
from crosskd_lab.errors import LabError
from crosskd_lab.files import PROJECT
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking


@pytest.mark.parametrize("label", paper.ENTRIES)
def test_every_entry_resolves_to_documented_code_or_a_table(label):
    place = paper.entry(label)
    if isinstance(place.object, pd.DataFrame):
        assert (PROJECT / place.where).is_file() and len(place.object) > 1
        return
    assert inspect.getdoc(place.object)
    dotted, _, location = place.where.partition(", ")
    file, _, line = location.partition(":")
    text = (PROJECT / file).read_text().splitlines()[int(line) - 1]
    assert dotted.rpartition(".")[2] in text


@pytest.mark.parametrize(
    ("label", "thing"),
    [
        ("Eq. (1)", PredictionMimicking),
        ("Eq. (2)", CrossKD),
        ("eq 2", CrossKD),
        ("Equation (2)", CrossKD),
        ("Section 3.2", cross_head),
    ],
)
def test_places_are_found_as_people_write_them(label, thing):
    assert paper.entry(label).object is thing


@pytest.mark.parametrize("label", ["Eq. (1)", "Eq. (2)"])
def test_equations_are_tagged_in_the_code(label):
    assert inspect.getdoc(paper.entry(label).object).startswith(label)


def test_tables_are_the_papers_numbers():
    frame = paper.entry("Table 3").object
    assert frame["AP"].tolist() == [37.3, 36.8, 37.8, 37.7, 37.2, 38.7]


@pytest.mark.parametrize("label", ["Eq. (9)", "Fig. 99", "", "CrossKD"])
def test_unknown_places_list_the_known(label):
    with pytest.raises(LabError, match=r"there are: Eq\. \(1\); Eq\. \(2\); .*Tab\. 8$"):
        paper.entry(label)


def test_show_prints_statement_place_and_source(capsys):
    paper.show("Eq. (2)")
    said = capsys.readouterr().out
    assert r"\hat p^s(r)" in said
    assert "crosskd_lab.methods.crosskd.CrossKD, crosskd_lab/methods/crosskd.py:" in said
    assert "class CrossKD(PredictionTerms):" in said


def test_show_displays_in_a_notebook(monkeypatch):
    display = pytest.importorskip("IPython.display")
    shown = []
    monkeypatch.setattr(display, "display", shown.append)
    kernel = SimpleNamespace(kernel=object())
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: kernel)
    paper.show("Eq. (2)")
    paper.show("Tab. 3")
    assert "$" in shown[0].data and "class CrossKD" in shown[1].data
    assert '\n    """Eq. (2)' in shown[1].data, "Python reads it by its indentation"
    assert isinstance(shown[3], pd.DataFrame)
