"""Every family answers what the spine asks; listening leaves no trace; targets and taps by hand."""

import math

import pytest
import torch

from crosskd_lab.errors import LabError
from crosskd_lab.heads import adapter_of
from crosskd_lab.heads.base import Targets, record_calls
from crosskd_lab.pair import Pair


def test_layers_are_checked_in_the_familys_words(beyond_dense):
    head = adapter_of(beyond_dense("faster"))
    with pytest.raises(LabError, match=r"i = 3 is out of range.* 2 shared fully connected layers"):
        head.check_layer(3)


def test_a_pair_of_two_families_is_refused(beyond_dense, make_detector):
    with pytest.raises(LabError, match="the student has a dense head, the teacher a roi head"):
        Pair(make_detector(), beyond_dense("faster"))


def test_a_detector_without_an_adapter_is_named(beyond_dense):
    class CascadeRCNN(type(beyond_dense("faster"))):
        pass

    odd = beyond_dense("faster")
    odd.__class__ = CascadeRCNN
    with pytest.raises(LabError, match="CascadeRCNN has no dense head.*FasterRCNN"):
        adapter_of(odd)


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


@pytest.fixture
def targets():
    """Four priors on two levels: a corner, a middle, one outside its box, and background."""
    return Targets(
        labels=torch.tensor([[1, 0, 0, 2]]),
        label_weights=torch.tensor([[1.0, 1, 0, 1]]),
        boxes=torch.tensor([[[0.0, 0, 16, 8], [0, 0, 24, 8], [0, 0, 8, 8], [0, 0, 0, 0]]]),
        num_pos=3.0,
        num_classes=2,
        centres=torch.tensor([[4.0, 4], [12, 4], [20, 4], [28, 4]]),
    )


def test_centerness_of_each_location(targets):
    assert targets.positive.tolist() == [[True, True, True, False]]
    assert targets.centerness[0].tolist() == pytest.approx([math.sqrt(4 / 12), 1, 0, 0])
