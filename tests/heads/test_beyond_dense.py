"""RoI heads and decoders tested as dense heads are: empty, bf16, stock's keys."""

import copy

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.methods.decoder_crosskd import DecoderCrossKD, DecoderMimicking
from crosskd_lab.pair import Pair

ROI = "faster"


def methods_of(kind, delivered="memory"):
    """All that serve the kind of head and may stand side by side."""
    if kind == ROI:
        return [CrossKD(), PredictionMimicking()]
    return [DecoderCrossKD(delivered=delivered), DecoderMimicking()]


CASES = [(ROI, ""), ("deformable", "memory"), ("deformable", "query")]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case).strip("-"))
def distiller(request, beyond_dense):
    kind, delivered = request.param
    pair = Pair(*(beyond_dense(kind, seed) for seed in (0, 1)), {"checkpoint": "random"})
    return Distiller(pair=pair, methods=methods_of(kind, delivered))


def learnt(distiller):
    return [p.grad for p in distiller.parameters() if p.grad is not None]


@pytest.mark.parametrize("boxes", [[[], []], [[[8, 8, 30, 40]], []]], ids=["none", "in one image"])
def test_images_without_ground_truth(distiller, make_batch, boxes):
    torch.manual_seed(0)
    total, losses = distiller.parse_losses(distiller.loss(*make_batch(boxes)))
    total.backward()
    distilled = [value for name, value in losses.items() if "kd" in name]
    assert len(distilled) >= 4 and all(value.isfinite() and value >= 0 for value in distilled)
    assert sum(distilled) > 0, "the teacher has something to say of background too"
    assert all(grad.isfinite().all() for grad in learnt(distiller))


def test_no_proposal_at_all(beyond_dense, make_batch):
    changes = {"train_cfg.rpn_proposal.min_bbox_size": 10**6}
    pair = Pair(*(beyond_dense(ROI, seed, **changes) for seed in (0, 1)), {"checkpoint": "random"})
    distiller = Distiller(pair=pair, methods=methods_of(ROI))
    total, losses = distiller.parse_losses(distiller.loss(*make_batch([[], []])))
    total.backward()
    for name in ("crosskd", "kd"):
        assert losses[f"loss_{name}_cls"] == 0 and losses[f"loss_{name}_reg"] == 0
    assert total.isfinite() and all(grad.isfinite().all() for grad in learnt(distiller))


def test_a_bf16_step(distiller, make_batch):
    inputs, samples = make_batch()
    for layer in getattr(getattr(distiller.pair.teacher, "decoder", None), "layers", ()):
        # Untrained layers hardly heed the memory: boxes would differ by less than bf16 resolves.
        layer.cross_attn.value_proj.weight.data *= 10
    torch.manual_seed(0)
    exact = distiller.parse_losses(distiller.loss(inputs, samples))[1]
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        total, losses = distiller.parse_losses(distiller.loss(inputs, samples))
    total.backward()
    assert losses.keys() == exact.keys()
    for name, value in losses.items():
        if "kd" in name:
            assert value.dtype == torch.float32, name
            assert value.item() == pytest.approx(exact[name].item(), rel=0.1, abs=0.02), name
    assert all(grad.isfinite().all() for grad in learnt(distiller))


def test_a_saved_student_is_stock_s_detector(distiller, make_batch, beyond_dense, tmp_path):
    kind = "deformable" if hasattr(distiller, "decoder") else ROI
    torch.save(distiller.state_dict(), tmp_path / "student.pth")
    stock = beyond_dense(kind, seed=5)
    weights = torch.load(tmp_path / "student.pth", weights_only=True)
    stock.load_state_dict(weights, strict=True)
    assert not any("teacher" in name or "methods" in name for name in weights)
    inputs, samples = make_batch()
    outputs = []
    for detector in (distiller.eval(), stock.eval()):
        with torch.no_grad():
            outputs.append(detector.predict(inputs, copy.deepcopy(samples), rescale=False))
    for mine, theirs in zip(*outputs, strict=True):
        assert torch.equal(mine.pred_instances.bboxes, theirs.pred_instances.bboxes)
        assert torch.equal(mine.pred_instances.scores, theirs.pred_instances.scores)
        assert len(mine.pred_instances)
