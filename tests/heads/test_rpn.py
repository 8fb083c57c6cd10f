"""The region proposal network, read as a dense head."""

import pytest
import torch

from crosskd_lab.heads.rpn import RPNAdapter


@pytest.fixture(params=[1, 2])
def rpn(beyond_dense, request):
    return beyond_dense("faster", **{"rpn_head.num_convs": request.param}).rpn_head


def test_the_walk_is_the_heads_own_forward(rpn):
    neck = tuple(torch.randn(2, 64, n, n) for n in (16, 8, 4, 2, 1))
    walked = RPNAdapter(rpn).forward_towers(neck)
    for mine, theirs in zip(
        (walked.predictions.cls, walked.predictions.reg), rpn(neck), strict=True
    ):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    assert len(walked.towers["cls"]) == rpn.num_convs + 1


def test_what_it_reads_is_rectified_or_not(rpn):
    neck = tuple(torch.randn(1, 64, n, n) for n in (16, 8, 4, 2, 1))
    adapter = RPNAdapter(rpn)
    after, before = adapter.forward_towers(neck), adapter.forward_towers(neck, "pre_relu")
    assert after.towers["reg"][1][0].min() == 0 > before.towers["reg"][1][0].min()
    torch.testing.assert_close(
        before.towers["reg"][1][0].relu(), after.towers["reg"][1][0], rtol=0, atol=0
    )


def test_it_knows_one_class_at_three_anchors(rpn):
    adapter = RPNAdapter(rpn)
    assert (adapter.num_classes, adapter.anchors, adapter.depth) == (1, 3, rpn.num_convs)
