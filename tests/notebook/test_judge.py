"""Whatever a learner's function does, there is one line of answer."""

from __future__ import annotations

import pytest

from crosskd_lab.notebook.judge import Wrong, verdict


@verdict
def check_double(function, start=2):
    if function(start) != 2 * start:
        raise Wrong("double it")
    return "twice the start"


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: 2 * x, "Right: twice the start"),
        (lambda x: x, "Not yet: double it"),
        (lambda x: x / 0, "Not yet: your function raised ZeroDivisionError: division by zero"),
    ],
)
def test_one_line_for_right_wrong_and_broken(function, said):
    assert check_double(function) == said
    assert check_double(function, 3) == said
    assert check_double.__name__ == "check_double"
