"""Whatever a learner's function does, there is one line of answer."""

from __future__ import annotations

import pytest

from crosskd_lab.notebook.judge import Wrong, verdict


@verdict
def check_double(function, start=2):
    if function(start) != 2 * start:
        raise Wrong("double it")
    return "twice the start"


no_number = "no function"


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: 2 * x, "Right: twice the start"),
        (lambda x: x, "Not yet: double it"),
        (
            no_number,
            "Not yet: your function, or what is done with its answer, raised TypeError: "
            "'str' object is not callable",
        ),
    ],
)
def test_one_line_for_right_wrong_and_broken(function, said):
    assert check_double(function) == said
    assert check_double(function, 3) == said
    assert check_double.__name__ == "check_double"


def test_a_learners_own_mistake_is_told_with_its_line():
    names: dict = {}
    exec(compile("def f(x):\n    y = x\n    return y / 0\n", "<cell>", "exec"), names)
    said = "Not yet: your function raised ZeroDivisionError in line 3 of its cell: division by zero"
    assert check_double(names["f"]) == said
