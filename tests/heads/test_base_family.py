"""Every family answers what the spine asks, and pairs of two families are refused."""

import inspect

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.heads import DETECTORS, adapter_of
from crosskd_lab.heads.base import HeadFamily
from crosskd_lab.heads.decoder import DecoderAdapter
from crosskd_lab.heads.dense import HeadAdapter
from crosskd_lab.pair import Pair

ASKED = [
    name
    for name, value in vars(HeadFamily).items()
    if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
]
SAID = {
    "rectify",
    "check_layer",
    "least_confidence",
    "cls_normaliser",
    "box_normaliser",
}  # have an answer there


@pytest.mark.parametrize("family", [HeadAdapter, *DETECTORS.values()])
def test_nothing_is_left_unanswered(family):
    assert len(ASKED) > 10
    for name in set(ASKED) - SAID:
        if family is DecoderAdapter and name in ("forward_from", "predict"):
            continue  # its layers predict one by one: DecoderAdapter.through
        assert getattr(family, name) is not getattr(HeadFamily, name), f"{family} has no {name}"


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
