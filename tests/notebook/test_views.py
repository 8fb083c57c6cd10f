"""What is shown of a head is what its modules are."""

from __future__ import annotations

import pytest

from crosskd_lab.methods.crosskd import CrossKD
from crosskd_lab.notebook.views import delivery_of, head_view
from crosskd_lab.pair import Pair


@pytest.fixture(scope="module")
def pair(make_detector):
    return Pair(make_detector(0, depth=3, channels=8), make_detector(1, norm=False))


def test_every_layer_is_read_from_its_module(pair):
    view = head_view(pair.student_head, "small")
    assert view.title == "small"
    for tower in view.towers.values():
        assert tower.neck == 8
        assert [tuple(layer) for layer in tower.layers] == [("3×3", 8, "GN 4, ReLU")] * 3
    assert (view.towers["cls"].says, view.towers["reg"].says) == ("3 classes", "4 edges × 7 bins")
    plain = head_view(pair.teacher_head, "large").towers["reg"]
    assert [tuple(layer) for layer in plain.layers] == [("3×3", 16, "ReLU")] * 4


def test_a_head_on_another_device_is_read_there(make_detector):
    pair = Pair(make_detector(0), make_detector(1))
    pair.teacher.bbox_head.to("meta")
    assert head_view(pair.teacher_head, "large").towers["cls"].says == "3 classes"


def test_the_learned_adapter_is_shown_as_it_is(pair):
    method = CrossKD(i=3, align="conv")
    method.attach(pair.student_head, pair.teacher_head)
    delivery = delivery_of(pair, method)
    assert (delivery.i, delivery.own) == (3, 2)  # one conv follows on either side
    assert delivery.fitted["reg"] == "1×1 conv,\n8 to 16,\nthen statistics"


def test_without_one_the_alignment_is_named(make_pair):
    pair = make_pair()
    assert delivery_of(pair, CrossKD()).fitted["cls"] == "align:\nstatistics"
    assert delivery_of(pair, CrossKD(i=1, align="none"))[:2] == (1, 1)
    assert delivery_of(pair, CrossKD(align="none")).fitted["cls"] == "align:\nnone"
