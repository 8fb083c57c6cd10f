"""Tables in a terminal: whole columns, as many as fit, and what is left out is named."""

import pytest

from crosskd_lab.cli.show import print_table

ROWS = [
    {"name": "alpha", "words": "x" * 30, "more": "y" * 30, "AP": 12.7},
    {"name": "b", "words": "short", "more": "z", "AP": 3.1},
]
TITLES = {"name": "name", "words": "words", "more": "more", "AP": "paper's\nAP"}


@pytest.mark.parametrize(
    ("columns", "wide", "left_out"),
    [
        (78, False, []),
        (77, False, ["words"]),
        (20, False, ["words", "AP", "more"]),
        (20, True, []),
    ],
)
def test_columns_are_whole_or_not_there(columns, wide, left_out, monkeypatch, capsys):
    """All four take 5 + 30 + 30 + 7 letters, and three gaps of two: 78."""
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table(ROWS, TITLES, ["words"], wide)
    table, _, named = capsys.readouterr().out.partition("left out here: ")
    for name, cell in ROWS[0].items():
        assert (str(cell) in table) == (name not in left_out), (name, table)
    assert named.startswith(", ".join(TITLES[name].replace("\n", " ") for name in left_out))
    assert ("--wide" in named) == bool(left_out)


def test_a_pipe_gets_every_column(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table(ROWS, TITLES)
    assert "y" * 30 in capsys.readouterr().out


def test_numbers_stand_to_the_right(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    print_table(ROWS, TITLES)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].rstrip().endswith("   12.7") and lines[-1].rstrip().endswith("    3.1")


def test_what_stands_in_brackets_is_text(monkeypatch, capsys):
    """A folder's name or a learner's error; the library that draws the table has a markup."""
    monkeypatch.setenv("COLUMNS", "100")
    said = [{"run": "exp[old]", "said": "ValueError: [/x] of [bold]"}]
    print_table(said, {"run": "the [run]", "said": "said"}, title="[all]")
    title, names, row = capsys.readouterr().out.splitlines()
    assert (title.strip(), names.split("  ")[0]) == ("[all]", "the [run]")
    assert row.rstrip() == "exp[old]   ValueError: [/x] of [bold]"
