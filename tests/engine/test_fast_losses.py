"""Dense losses are the head's own, in value and in gradient."""

import pytest
import torch
from mmengine.config import ConfigDict

from crosskd_lab.engine.fast import FastForm, why_reference
from crosskd_lab.heads import adapter_of
from crosskd_lab.heads.base import Predictions

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
    assert why_reference(adapter) is None
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
    ("name", "changes", "words"),
    [
        ("atss", dict(loss_bbox=ConfigDict(type="CIoULoss")), "loss_bbox is CIoULoss"),
        ("retinanet", dict(loss_bbox=ConfigDict(type="GIoULoss")), "loss_bbox is GIoULoss"),
        ("vfnet", dict(use_atss=False), "use_atss=False"),
        ("vfnet", dict(use_vfl=False), "loss_cls is FocalLoss"),
        ("fcos_exp", dict(loss_bbox=ConfigDict(type="IoULoss", mode="linear")), "mode=linear"),
    ],
)
def test_losses_of_another_kind_are_left_to_stock(tiny_detector, name, changes, words):
    assert words in why_reference(adapter_of(tiny_detector(name, **changes)))
