"""RoI heads and decoders tested as dense heads are: empty, bf16, two processes, stock's keys."""

import copy

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.methods.decoder_crosskd import DecoderCrossKD, DecoderMimicking
from crosskd_lab.pair import Pair

ROI = "faster"
ALL_SAMPLED = {  # no sampler draws: one process and two take the same boxes
    "train_cfg.rpn.sampler.num": 10**6,
    "train_cfg.rcnn.sampler.num": 10**6,
}


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


def test_two_processes_are_what_one_can_compute(beyond_dense, make_batch, in_halves):
    """Terms over fixed numbers of places are those of the whole batch; others means of halves.

    The RoI head's terms, and the decoders' box terms, are weighted means over the places of a
    process, as stock's own RoI losses are; DDP averages them.
    """
    images, samples = make_batch([[[8, 8, 30, 40], [20, 20, 60, 60]], [[2, 4, 34, 50]]])
    for sample in samples:
        sample.gt_instances.bboxes = sample.gt_instances.bboxes.double()
    jobs = []
    for kind, delivered in CASES:
        changes = ALL_SAMPLED if kind == ROI else {}
        student, teacher = (beyond_dense(kind, seed, **changes).double() for seed in (0, 1))
        jobs.append(
            dict(
                student=student,
                teacher=teacher,
                images=images.double(),
                samples=samples,
                methods=methods_of(kind, delivered),
                distilled_only=True,  # stock divides by the counts of its own process
            )
        )
    for job, two, (kind, _) in zip(jobs, in_halves(jobs), CASES, strict=True):
        terms, grads = in_one(job, kind)
        assert terms.keys() == two["losses"].keys() - {"loss"} and len(terms) >= 4, kind
        for name, value in terms.items():
            torch.testing.assert_close(two["losses"][name], value, rtol=1e-5, atol=0, msg=name)
        ours, theirs = (torch.cat([g[n].flatten() for n in grads]) for g in (grads, two["grads"]))
        assert (ours - theirs).norm() <= 1e-5 * ours.norm(), kind


def of_the_whole(kind, name):
    """Whether a term counts places of all processes."""
    return kind != ROI and name.endswith("_cls")


def in_one(job, kind):
    """Terms and gradients as one process computes them, from the whole batch and its halves."""
    distiller = Distiller(pair=Pair(job["student"], job["teacher"]), methods=job["methods"])
    distiller.double().zero_grad()
    terms = {}
    for share, whole in ((slice(0, 2), True), (slice(0, 1), False), (slice(1, 2), False)):
        losses = distiller.loss(job["images"][share], job["samples"][share])
        mine = {n: v for n, v in losses.items() if "kd" in n and of_the_whole(kind, n) is whole}
        if not mine:
            continue
        torch.stack([v / (1 if whole else 2) for v in mine.values()]).sum().backward()
        for name, value in mine.items():
            terms[name] = terms.get(name, 0) + value.detach() / (1 if whole else 2)
    named = distiller.named_parameters()
    return terms, {name: p.grad for name, p in named if p.grad is not None}
