"""The stand-in ops on a GPU: values and gradients of the CPU."""

from collections.abc import Callable

import pytest
import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d, nms, roi_align, sigmoid_focal_loss
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
from torch import Tensor

pytestmark = pytest.mark.cuda


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def focal(logits):
    targets = torch.tensor([0, 2, 3, 1] * 4, device=logits.device)
    return sigmoid_focal_loss(4 * logits - 2, targets, 2.0, 0.25, None, "none")


def pooled(feature):
    rois = torch.tensor([[0, 1.0, 2, 11, 13], [1, 0, 0, 30, 20]], device=feature.device)
    return roi_align(feature, rois, (7, 7), 0.5, 0, "avg", True)


def deformed(kind):
    def run(x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        torch.manual_seed(0)
        conv = kind(4, 6, 3, padding=1).to(x.device)
        return conv(x, 4 * offset - 2, *([mask] if kind is ModulatedDeformConv2d else []))

    return run


def attended(value, locations, weights):
    shapes = torch.tensor([[3, 4], [2, 2]], device=value.device)
    starts = torch.tensor([0, 12], device=value.device)
    at = 1.2 * locations - 0.1
    return MultiScaleDeformableAttnFunction.apply(value, shapes, starts, at, weights, 64)


OPS: dict[str, tuple[Callable[..., Tensor], list[tuple[int, ...]]]] = {
    "focal loss": (focal, [(16, 3)]),
    "roi align": (pooled, [(2, 4, 16, 16)]),
    "deform conv": (deformed(DeformConv2d), [(2, 4, 8, 8), (2, 18, 8, 8), (2, 9, 8, 8)]),
    "modulated": (deformed(ModulatedDeformConv2d), [(2, 4, 8, 8), (2, 18, 8, 8), (2, 9, 8, 8)]),
    "attention": (attended, [(2, 16, 2, 3), (2, 2, 2, 2, 2, 2), (2, 2, 2, 2, 2)]),
}


@pytest.mark.parametrize("name", OPS)
def test_values_and_gradients_are_the_cpus(name):
    op, shapes = OPS[name]
    found = []
    for device in ("cpu", "cuda"):
        inputs = [rand(*s, seed=i).to(device).requires_grad_() for i, s in enumerate(shapes)]
        out = op(*inputs)
        out.square().sum().backward()
        found.append([out, *(x.grad for x in inputs)])
    for here, there in zip(*found, strict=True):
        assert (here is None) == (there is None)
        if here is not None:
            torch.testing.assert_close(there.cpu(), here, rtol=1e-3, atol=1e-4)


def test_nms_keeps_the_same_boxes():
    corner = 50 * rand(200, 2)
    boxes, scores = (
        torch.cat([corner, corner + 5 + 20 * rand(200, 2, seed=1)], 1),
        rand(200, seed=2),
    )
    here, there = nms(boxes, scores, 0.5), nms(boxes.cuda(), scores.cuda(), 0.5)
    assert there[1].cpu().equal(here[1])
    torch.testing.assert_close(there[0].cpu(), here[0])


@pytest.mark.parametrize("name", ["roi align", "deform conv", "modulated"])
def test_what_torchvision_computes_comes_in_bfloat16_too(name):
    op, shapes = OPS[name]
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        inputs = [rand(*s, seed=i).cuda().to(dtype).requires_grad_() for i, s in enumerate(shapes)]
        out = op(*inputs)
        out.float().square().sum().backward()
        found.append(out.float())
        assert inputs[0].grad is not None
    torch.testing.assert_close(found[1], found[0], rtol=0.05, atol=0.05)
