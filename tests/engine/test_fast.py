"""The fast step: the reference's losses, no stop on the way, and a warning where there is none."""

import copy
import warnings
from contextlib import nullcontext
from itertools import product

import pytest
import torch
from mmengine.config import Config, ConfigDict
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from crosskd_lab.distiller import Distiller
from crosskd_lab.engine.fast import FastForm, has_fast_form, quicken
from crosskd_lab.engine.train import build_runner, prepare_engine, takes_fast
from crosskd_lab.errors import LabError
from crosskd_lab.heads import adapter_of
from crosskd_lab.heads.base import Predictions
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.methods.pkd import PKD
from crosskd_lab.pair import Pair

HEADS = ["gfl", "atss", "retinanet", "fcos", "fcos_exp"]
DEFORMABLE = ["vfnet", "ddod"]  # their deformable convolutions have no bf16 form
# What asks a GPU for a number, or for a shape that depends on one. "equal" does too, but a step
# compares nothing with it but two priors on the host; the GPU's own suite sees what this cannot.
WAITS = {
    "_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim",
    "unique_consecutive", "bincount", "repeat_interleave", "is_nonzero",
}  # fmt: skip


class NoWaiting(TorchDispatchMode):
    """Raises at the first operator that would wait for a GPU."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        by_mask = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]
        )
        if name in WAITS or by_mask:
            raise AssertionError(f"{func} waits for the GPU")
        return func(*args, **(kwargs or {}))


def distiller(tiny_detector, name, methods=(), precision=None):
    pair = Pair(tiny_detector(name, seed=1), tiny_detector(name, seed=2), {"checkpoint": "random"})
    model = Distiller(pair=pair, methods=list(methods)).train()
    return model if precision is None else quicken(model, precision)


@pytest.fixture
def batch(case_batch):
    return case_batch(7)


@pytest.mark.parametrize("name", HEADS + DEFORMABLE)
def test_a_step_is_the_references(tiny_detector, batch, name):
    methods = [CrossKD(), PredictionMimicking(), PKD()]
    found = {}
    for precision in (None, "fp32"):
        model = distiller(tiny_detector, name, copy.deepcopy(methods), precision)
        total, losses = model.parse_losses(model.loss(*batch))
        total.backward()
        found[precision] = losses, [p.grad for p in model.parameters() if p.grad is not None]
    (reference, gradients), (fast, theirs) = found.values()
    assert reference.keys() == fast.keys() and len(gradients) == len(theirs)
    for loss in reference:
        assert fast[loss].item() == pytest.approx(reference[loss].item(), rel=1e-5), loss
    for ours, other in zip(gradients, theirs, strict=True):
        assert (ours - other).abs().max() <= 1e-4 * ours.abs().max().clamp(min=1e-3)


@pytest.mark.parametrize(
    ("name", "precision"),
    [*product(HEADS, ["fp32", "bf16"]), *product(DEFORMABLE, ["fp32"])],
)
def test_no_step_waits(tiny_detector, batch, name, precision):
    model = distiller(tiny_detector, name, [CrossKD(), PredictionMimicking(), PKD()], precision)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    for step in range(2):
        with NoWaiting() if step else warnings.catch_warnings():
            total, _ = model.parse_losses(model.loss(*batch))
            total.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 35)
            optimiser.step()
            optimiser.zero_grad()


def test_no_step_of_a_run_waits_but_those_that_are_written_down(tiny, tmp_path, monkeypatch):
    prepare_engine()
    cfg = tiny({"fast": True, "schedule.steps": 6, "schedule.validate_every": 6})
    cfg.custom_hooks = [dict(type="LossGuard", every=3), dict(type="RunMetrics", every=3)]
    runner = build_runner(cfg, tmp_path / "run")
    step, prepare = runner.train_loop.run_iter, runner.model.data_preprocessor.forward
    read = []

    def prepare_on_the_host(*args):  # it compares the images' sizes, which are there
        with _disable_current_modes():
            return prepare(*args)

    def watched(batch):
        late = runner.iter in (1, 3, 4)  # the first fills the caches
        known = runner.message_hub.log_scalars.get("train/loss")
        read.append(0 if known is None else len(known.data[0]))
        with NoWaiting() if late else nullcontext():
            step(batch)

    monkeypatch.setattr(runner.model.data_preprocessor, "forward", prepare_on_the_host)
    monkeypatch.setattr(runner.train_loop, "run_iter", watched)
    runner.train()
    assert read == [0, 0, 0, 3, 3, 3]
    for name in ("loss", "loss_crosskd_cls", "grad_norm"):
        assert len(runner.message_hub.get_scalar(f"train/{name}").data[0]) == 6


def test_the_reference_does_wait(tiny_detector, batch):
    with NoWaiting(), pytest.raises(AssertionError, match="waits"):
        distiller(tiny_detector, "gfl", [CrossKD()]).loss(*batch)


def test_a_student_alone_is_fast_too(tiny_detector, batch):
    alone = distiller(tiny_detector, "gfl").loss(*batch)
    fast = distiller(tiny_detector, "gfl", precision="fp32").loss(*batch)
    assert alone.keys() == fast.keys()
    for name, levels in alone.items():
        assert fast[name].item() == pytest.approx(sum(levels).item(), rel=1e-5)


def test_a_head_without_a_fast_form_says_so_once(tiny_detector, batch):
    def sampled(seed):
        detector = tiny_detector("gfl", seed=seed)
        detector.bbox_head.train_cfg["allowed_border"] = 0
        return detector

    model = Distiller(pair=Pair(sampled(1), sampled(2)), methods=[])
    with pytest.warns(
        UserWarning, match="GFLHead, set as it is, trains in its reference form"
    ) as said:
        quicken(model)
    assert len(said) == 1 and model.pair.student_head.fast is None


def test_an_unknown_precision_is_named(tiny_detector):
    with pytest.raises(LabError, match="fp16.*fp32, bf16"):
        distiller(tiny_detector, "gfl", precision="fp16")


@pytest.mark.parametrize("said", ["maybe", 1, None])
def test_the_form_is_named_by_true_or_false(said):
    assert takes_fast(Config(dict(fast=True))) and not takes_fast(Config(dict(fast=False)))
    with pytest.raises(LabError, match=f"fast is {said!r}: give True or False"):
        takes_fast(Config(dict(fast=said)))


GIOU_BOXES = dict(reg_decoded_bbox=True, loss_bbox=ConfigDict(type="GIoULoss", loss_weight=2.0))
SMOOTH = dict(loss_bbox=ConfigDict(type="SmoothL1Loss", beta=0.11, loss_weight=1.0))
BUILDS = {
    "gfl": ("gfl", {}),
    "atss": ("atss", {}),
    "retinanet": ("retinanet", {}),
    "retinanet by GIoU": ("retinanet", GIOU_BOXES),
    "retinanet by smooth L1": ("retinanet", SMOOTH),
    "fcos": ("fcos", {}),
    "fcos by log IoU": ("fcos_exp", {}),
    "vfnet": ("vfnet", {}),
    "ddod": ("ddod", {}),
}


def both(adapter, said, truths, metas, ignored):
    """Losses and gradients by the prediction maps: stock's, then the fast form's."""
    leaves = [*said.cls, *said.reg, *(said.centerness or ())]
    for form in (adapter.detection_losses, FastForm(adapter)):
        adapter.head.cls_num_pos_samples_per_level = [9.0, 30.0, 4.0, 0.0, 2.0]  # DDOD's, so far
        losses, _ = form(said, truths, metas, ignored)
        total = {n: sum(v) if isinstance(v, list) else v for n, v in losses.items()}
        yield total, torch.autograd.grad(sum(total.values()), leaves)


def expect_close(pairs, tolerance):
    (stock, by_stock), (fast, by_fast) = pairs
    assert stock.keys() == fast.keys()
    for name in stock:
        gap = (fast[name] - stock[name]).abs().item()
        assert gap <= tolerance * max(1.0, abs(stock[name].item())), name
    for ours, theirs in zip(by_fast, by_stock, strict=True):
        assert ours.isfinite().all()
        assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max().clamp(min=1e-3)


@pytest.mark.parametrize("build", BUILDS)
def test_losses_and_gradients_are_stocks(tiny_detector, case, build):
    name, changes = BUILDS[build]
    adapter = adapter_of(tiny_detector(name, **changes))
    assert has_fast_form(adapter)
    for seed in range(40):
        expect_close(both(adapter, *case(adapter, seed)), 1e-5)


@pytest.mark.parametrize("build", BUILDS)
def test_in_float64_they_are_the_same_but_for_the_order_of_sums(
    tiny_detector, case, doubles, build
):
    name, changes = BUILDS[build]
    adapter = adapter_of(tiny_detector(name, **changes))
    for seed in range(20):
        said, truths, metas, ignored = case(adapter, seed)
        levels = (said.cls, said.reg, said.centerness)
        said = Predictions(
            *(m and tuple(x.detach().double().requires_grad_() for x in m) for m in levels)
        )
        for truth in truths:
            truth.bboxes = truth.bboxes.double()
        with doubles(adapter):
            expect_close(list(both(adapter, said, truths, metas, ignored)), 1e-9)


def test_ddod_counts_its_positives_step_by_step_as_stock_does(tiny_detector, case):
    counts = []
    for form in ("detection_losses", FastForm):
        adapter = adapter_of(tiny_detector("ddod"))
        form = getattr(adapter, form) if isinstance(form, str) else form(adapter)
        for seed in range(5):
            form(*case(adapter, seed))
        counts.append([float(n) for n in adapter.head.cls_num_pos_samples_per_level])
    assert counts[0] == counts[1] and sum(counts[0]) > 100


def test_a_number_that_is_not_finite_at_background_reaches_no_gradient(tiny_detector, case):
    adapter = adapter_of(tiny_detector("fcos_exp"))
    said, truths, metas, ignored = case(adapter, 3)
    found = FastForm(adapter)(said, truths, metas, ignored)[1]
    background = next(p for p in range(said.reg[0][0, 0].numel()) if not found.positive[0, p])
    with torch.no_grad():
        said.reg[0][0].view(4, -1)[:, background] = torch.inf
    losses, _ = FastForm(adapter)(said, truths, metas, ignored)
    sum(losses.values()).backward()
    assert all(m.grad.isfinite().all() for m in said.reg)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("atss", dict(loss_bbox=ConfigDict(type="CIoULoss"))),
        ("retinanet", dict(loss_bbox=ConfigDict(type="GIoULoss"))),
        ("vfnet", dict(use_atss=False)),
        ("vfnet", dict(use_vfl=False)),
        ("fcos_exp", dict(loss_bbox=ConfigDict(type="IoULoss", mode="linear"))),
    ],
)
def test_losses_of_another_kind_are_left_to_stock(tiny_detector, name, changes):
    assert has_fast_form(adapter_of(tiny_detector(name)))
    assert not has_fast_form(adapter_of(tiny_detector(name, **changes)))
