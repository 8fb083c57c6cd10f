"""How much of the method stands in the chapters' own cells, counted; printed for all of them."""

import ast
import re

import nbformat
import pandas as pd
import pytest

from crosskd_lab.notebook.book import covers

SHAPE = re.compile(r"#.*\((?:[A-Z0-9][\w *+,]*)?\)")  # "# (N, P, K)", "# (R,)", "# ()"


def measures(cells):
    """Of a notebook's cells: code lines, tensor lines, share of one-call cells."""
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    lines = [line for source in code for line in code_lines(source)]
    return {
        "code lines": len(lines),
        "tensor lines": sum(bool(SHAPE.search(line) or names_torch(line)) for line in lines),
        "one-call cells": sum(map(is_one_call, code)) / len(code),
    }


def is_import(node):
    return isinstance(node, ast.Import | ast.ImportFrom)


def code_lines(source):
    """The lines of a cell that are no import, comment, docstring or blank."""
    left_out = set()
    for node in ast.walk(ast.parse(source)):
        said = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_import(node) or said:
            left_out |= {*range(node.lineno, node.end_lineno + 1)}

    lines = enumerate(source.splitlines(), 1)
    return [line for n, line in lines if n not in left_out and line.split("#")[0].strip()]


def names_torch(line):
    return bool(re.search(r"\b(torch|F)\.", line.split("#")[0]))


def is_one_call(source):
    """Whether a cell, imports aside, does nothing but call something."""
    done = [node for node in ast.parse(source).body if not is_import(node)]
    return len(done) == 1 and isinstance(getattr(done[0], "value", None), ast.Call)


@pytest.fixture(scope="module")
def table():
    found = {c.path.stem: measures(nbformat.read(c.path, 4).cells) for c in covers()}
    return pd.DataFrame(found).T


def test_the_idea_stands_in_the_cells(table, capsys):
    with capsys.disabled():
        print(f"\n{table.round(2).to_string()}\nmedian: {table.median().round(2).to_dict()}")
    assert table["code lines"].median() >= 60
    assert (table["tensor lines"] >= 10).all(), table["tensor lines"].to_dict()
    assert (table["one-call cells"] <= 1 / 3).all(), table["one-call cells"].to_dict()
