"""The fast step on a GPU: the CPU's numbers, and no stop anywhere in it."""

import copy
from itertools import product

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.engine import resident
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.fast import FastForm, quicken
from crosskd_lab.engine.precision import compile_hot
from crosskd_lab.engine.targets import pad_objects
from crosskd_lab.engine.train import build_runner, prepare_engine
from crosskd_lab.heads import adapter_of
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.methods.pkd import PKD
from crosskd_lab.pair import Pair

HEADS = ["gfl", "atss", "retinanet", "fcos", "fcos_exp"]
DEFORMABLE = ["vfnet", "ddod"]  # their deformable convolutions have no bf16 form
pytestmark = pytest.mark.cuda


@pytest.fixture(autouse=True)
def exact_sums(monkeypatch):
    """Convolutions in float32 proper, not in TF32; nothing compiled unless a test asks."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    yield
    compile_hot(False)


def model_of(tiny_detector, name, precision, device, compiled=False):
    pair = Pair(tiny_detector(name, seed=1), tiny_detector(name, seed=2), {"checkpoint": "random"})
    methods = [CrossKD(), PredictionMimicking(), PKD()]
    model = Distiller(pair=pair, methods=methods).train()
    if precision is not None:
        quicken(model, precision)
        compile_hot(compiled)
    return model.to(device)


def step(model, batch, device):
    images, samples = batch
    samples = [copy.deepcopy(sample).to(device) for sample in samples]
    total, losses = model.parse_losses(model.loss(images.to(device), samples))
    total.backward()
    gradient = torch.cat([p.grad.flatten().cpu() for p in model.parameters() if p.grad is not None])
    return {name: value.item() for name, value in losses.items()}, gradient


@pytest.mark.parametrize("name", HEADS + DEFORMABLE)
def test_targets_are_the_cpus(tiny_detector, case, name):
    adapter = adapter_of(tiny_detector(name))
    on_gpu = adapter_of(tiny_detector(name).cuda())
    for seed in range(30):
        said, truths, metas, ignored = case(adapter, seed)
        here = FastForm(adapter).assign(adapter, said, pad_objects(truths, ignored), metas)
        there = type(said)(
            *(m and tuple(x.cuda() for x in m) for m in (said.cls, said.reg, said.centerness))
        )
        truths = [truth.to("cuda") for truth in truths]
        ignored = [one if one is None else one.to("cuda") for one in ignored]
        found = FastForm(on_gpu).assign(on_gpu, there, pad_objects(truths, ignored), metas)
        assert found.labels.cpu().equal(here.labels) and found.boxes.cpu().equal(here.boxes)
        assert found.label_weights.cpu().equal(here.label_weights)


@pytest.mark.parametrize("name", HEADS + DEFORMABLE)
@pytest.mark.parametrize("precision", [None, "fp32"])
def test_a_step_in_fp32_is_the_cpus(tiny_detector, case_batch, name, precision):
    batch = case_batch(7)
    here, slope = step(model_of(tiny_detector, name, None, "cpu"), batch, "cpu")
    there, other = step(model_of(tiny_detector, name, precision, "cuda"), batch, "cuda")
    assert there == {loss: pytest.approx(value, rel=1e-3, abs=1e-4) for loss, value in here.items()}
    assert torch.nn.functional.cosine_similarity(slope, other, 0) > 0.999


@pytest.mark.parametrize("name", HEADS)
def test_a_step_in_bf16_is_the_cpus(tiny_detector, case_batch, name):
    batch = case_batch(7)
    exact, _ = step(model_of(tiny_detector, name, "fp32", "cpu"), batch, "cpu")
    here, slope = step(model_of(tiny_detector, name, "bf16", "cpu"), batch, "cpu")
    there, other = step(model_of(tiny_detector, name, "bf16", "cuda"), batch, "cuda")
    for loss, value in exact.items():  # as far from float32 as the CPU's bf16 is, or nearer
        allowed = 2 * abs(here[loss] - value) + 0.03 * abs(value) + 0.02
        assert abs(there[loss] - value) <= allowed, (loss, there[loss], here[loss], value)
    assert other.isfinite().all() and other.any()


def test_compiled_it_says_the_same(tiny_detector, case_batch):
    batch = case_batch(7)
    plain, slope = step(model_of(tiny_detector, "gfl", "bf16", "cuda"), batch, "cuda")
    fused, other = step(
        model_of(tiny_detector, "gfl", "bf16", "cuda", compiled=True), batch, "cuda"
    )
    assert fused == {
        loss: pytest.approx(value, rel=0.03, abs=0.02) for loss, value in plain.items()
    }
    assert torch.nn.functional.cosine_similarity(slope, other, 0) > 0.95


@pytest.mark.parametrize(
    ("name", "precision"),
    [*product(HEADS, ["fp32", "bf16"]), *product(DEFORMABLE, ["fp32"])],
)
def test_no_step_waits_for_the_gpu(tiny_detector, case_batch, name, precision):
    model = model_of(tiny_detector, name, precision, "cuda")
    images, samples = case_batch(7)
    images, samples = images.cuda(), [sample.to("cuda") for sample in samples]
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    try:
        for number in range(3):
            if number == 2:  # the first step fills the caches, the second the allocator
                torch.cuda.synchronize()
                torch.cuda.set_sync_debug_mode("error")
            total, _ = model.parse_losses(model.loss(images, samples))
            total.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 35)
            optimiser.step()
            optimiser.zero_grad()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_no_step_of_a_run_waits_but_those_that_are_written_down(tiny, tmp_path, monkeypatch):
    prepare_engine()
    cfg = tiny({"schedule.steps": 8, "schedule.validate_every": 8})
    cfg.custom_hooks = [dict(type="LossGuard", every=4), dict(type="RunMetrics", every=4)]
    runner = build_runner(cfg, tmp_path / "run")
    step = runner.train_loop.run_iter

    def watched(batch):
        torch.cuda.set_sync_debug_mode("error" if runner.iter in (4, 5, 6) else "default")
        step(batch)

    monkeypatch.setattr(runner.train_loop, "run_iter", watched)
    try:
        runner.train()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_recorded_step_is_the_one_kernel_by_kernel(scenes_dir, tmp_path, monkeypatch):
    """Twelve steps, the first three before the recording; the second run never records."""
    prepare_engine()
    small = {"data.size": 96, "schedule.steps": 12, "schedule.batch": 4, "schedule.warmup": 2}
    small |= {"schedule.validate_every": 6, "teacher.checkpoint": "random"}
    found = {}
    for name, warm in (("recorded", 3), ("by kernel", 10**9)):
        monkeypatch.setattr(resident, "WARM", warm)
        runner = build_runner(
            load_experiment("pocket/crosskd", small, scenes_dir, 3), tmp_path / name
        )
        runner.train()
        assert (runner.model.train_step.graph is not None) == (name == "recorded")
        found[name] = runner.message_hub.log_scalars["train/loss"].data[0]
    assert len(found["recorded"]) == 12
    assert found["recorded"][:5] == pytest.approx(found["by kernel"][:5], rel=1e-3)
    assert found["recorded"] == pytest.approx(found["by kernel"], rel=0.1)
