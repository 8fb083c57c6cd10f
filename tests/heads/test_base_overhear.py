"""Listening leaves no trace."""

import pytest
import torch
from torch import nn

from crosskd_lab.heads.base import record_calls


class Adder:
    def add(self, a, b=1):
        return a + b


def test_every_result_is_heard_and_passed_on():
    adder = Adder()
    with record_calls(adder, "add") as heard:
        assert (adder.add(1), adder.add(2, b=5)) == (2, 7)
    assert heard == [2, 7]
    assert adder.add(3) == 4 and heard == [2, 7], "it went on listening"
    assert "add" not in vars(adder), "the object kept a wrapper"


def test_a_modules_forward_is_heard_through_a_call():
    layer = nn.Linear(2, 3)
    with record_calls(layer, "forward") as heard:
        out = layer(torch.ones(1, 2))
    assert torch.equal(heard[0], out)
    assert "forward" not in vars(layer)


def test_a_failure_inside_ends_the_listening():
    adder = Adder()
    with pytest.raises(TypeError), record_calls(adder, "add"):
        adder.add()
    assert "add" not in vars(adder)


def test_two_may_listen():
    adder = Adder()
    with record_calls(adder, "add") as first:
        with record_calls(adder, "add") as second:
            adder.add(1)
        adder.add(2)
    assert (first, second) == ([2, 3], [2]) and not vars(adder)
