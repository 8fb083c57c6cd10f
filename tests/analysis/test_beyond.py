"""RoIs painted by hand; attention gathered where mmcv's own formula samples."""

from __future__ import annotations

import types
from dataclasses import replace

import pytest
import torch

from crosskd_lab.notebook.beyond import attention_map, roi_map, roi_scores
from crosskd_lab.pair import Pair
from crosskd_lab.taps import collect


@pytest.fixture
def roi_taps(beyond_dense, make_batch):
    pair = Pair(*(beyond_dense("faster", seed) for seed in (0, 1)))
    return collect(pair, *make_batch())[0]


def test_a_pixel_takes_the_best_roi_that_covers_it(roi_taps):
    rois = torch.tensor([[0, 0, 0, 4, 4], [0, 2, 2, 6, 8], [1, 0, 0, 9, 9], [0, -3, 6.4, 2, 20.0]])
    taps = replace(roi_taps, student=replace(roi_taps.student, rois=rois))
    scores = torch.tensor([[0.2, 0.1], [0.3, 0.6], [0.9, 0.9], [0.1, 0.4]])
    painted = roi_map(taps, scores, 0, (10, 10))
    found = [painted[y, x].item() for y, x in ((0, 0), (3, 3), (7, 5), (9, 1), (9, 9))]
    assert found == pytest.approx([0.2, 0.6, 0.6, 0.4, 0.0])
    assert roi_map(taps, scores, 1, (10, 10))[:9, :9].unique().tolist() == pytest.approx([0.9])


def test_scores_are_everyone_s_softmax(roi_taps):
    scores = roi_scores(roi_taps)
    assert list(scores) == ["p^s", *(f"p_hat^s, i = {i}" for i in range(3)), "p^t"]
    own = roi_taps.student.predictions.cls[0].softmax(-1)[:, :-1]
    torch.testing.assert_close(scores["p^s"], own, atol=1e-5, rtol=1e-3)
    said = roi_taps.cross(1).cls[0].softmax(-1)[:, :-1]
    torch.testing.assert_close(scores["p_hat^s, i = 1"], said, atol=1e-5, rtol=1e-3)


@pytest.fixture(params=[True, False], ids=["boxes", "points"])
def decoder_taps(beyond_dense, make_batch, request):
    changes = {"with_box_refine": request.param}
    pair = Pair(*(beyond_dense("deformable", seed, **changes) for seed in (0, 1)))
    return collect(pair, *make_batch())[0]


@pytest.mark.parametrize("layer", [0, 2])
def test_attention_is_gathered_where_the_layer_samples(decoder_taps, monkeypatch, layer):
    """Against what mmcv's module hands to its own sampling function."""
    import mmcv.ops.multi_scale_deform_attn as module

    seen = types.SimpleNamespace(places=None, weights=None)
    original = module.multi_scale_deformable_attn_pytorch

    def spy(value, shapes, places, weights):
        seen.places, seen.weights = places, weights
        return original(value, shapes, places, weights)

    monkeypatch.setattr(module, "multi_scale_deformable_attn_pytorch", spy)
    teacher = decoder_taps.teacher
    found = attention_map(decoder_taps, teacher, teacher.memory, layer, 1, (64, 64))
    wanted = torch.zeros(64, 64)
    places, weights = seen.places[1].flatten(0, 3), seen.weights[1].flatten()
    for (x, y), weight in zip((places * 64).floor().long().tolist(), weights, strict=True):
        if 0 <= x < 64 and 0 <= y < 64:
            wanted[y, x] += weight.detach()
    assert found.sum() > 1
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_places_are_the_query_s_and_not_the_memory_s(decoder_taps):
    student, teacher = decoder_taps.student, decoder_taps.teacher
    own, read, crossed = (
        attention_map(decoder_taps, asks, memory, 1, 0, (64, 64))
        for asks, memory in (
            (teacher, teacher.memory),
            (teacher, student.memory),
            (student, student.memory),
        )
    )
    assert torch.equal(own, read) and not torch.equal(own, crossed)
    attention = decoder_taps.teacher_head.decoder.layers[1].cross_attn
    assert not attention._forward_pre_hooks and not attention.sampling_offsets._forward_hooks
