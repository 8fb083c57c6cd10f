"""Whatever a learner's function does, there is one line of answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from crosskd_lab.notebook import judge
from crosskd_lab.notebook.judge import Wrong, numbers, solved, verdict


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


def test_numbers_are_read_in_every_form_that_a_learner_may_return():
    forms = [1.5, np.float32(1.5), np.array([1.5]), torch.tensor(1.5).half(), [torch.tensor([1.5])]]
    forms += [torch.tensor(1.5, requires_grad=True)]
    assert [numbers(form, 1) for form in forms] == [[1.5]] * len(forms)
    assert numbers((1, torch.tensor(2)), 2) == numbers(np.array([1.0, 2]), 2) == [1, 2]
    for wrong, said in (("six", "one number, not str"), (None, "one number, not NoneType")):
        with pytest.raises(Wrong, match=f"return {said}"):
            numbers(wrong, 1)
    with pytest.raises(Wrong, match="return four numbers, not 3"):
        numbers([1, 2, 3], 4)


def test_a_learners_own_mistake_is_told_with_its_line():
    names: dict = {}
    exec(compile("def f(x):\n    y = x\n    return y / 0\n", "<cell>", "exec"), names)
    said = "Not yet: your function raised ZeroDivisionError in line 3 of its cell: division by zero"
    assert check_double(names["f"]) == said


def test_a_right_answer_is_noted_once_where_somebody_has_opened_the_notebook(
    tmp_path, monkeypatch, capsys
):
    file = tmp_path / "runs" / "solved.json"
    monkeypatch.setattr(judge, "SOLVED", file)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    check_double(lambda x: 2 * x)
    assert not file.exists() and solved(file) == {}, "executed for a page or by a test"

    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/01.ipynb")
    check_double(lambda x: x)
    assert not file.exists(), "not yet"
    check_double(lambda x: 2 * x)
    (day,) = solved(file).values()
    assert list(solved(file)) == ["check_double"] and len(day) == len("2026-11-28")
    file.write_text('{"check_double": "2020-01-01"}')
    check_double(lambda x: 2 * x)
    assert solved(file) == {"check_double": "2020-01-01"}, "the first day stands"

    file.write_text("[")
    assert check_double(lambda x: 2 * x) == "Right: twice the start"
    assert "is not noted" in capsys.readouterr().err and file.read_text() == "["
