"""A bf16 step: every loss finite, and near that of float32."""

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.methods.pkd import PKD
from crosskd_lab.pair import Pair

HEADS = ["gfl", "retinanet", "fcos", "atss", "paa", "vfnet", "tood", "rtmdet", "yolox"]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("student", "teacher"),
    [*((f, f) for f in HEADS), ("gfl", "retinanet")],
)
def test_a_bf16_step(detector, batch, student, teacher, device):
    pair = Pair(detector(student, seed=1), detector(teacher, seed=2))
    methods = [CrossKD(align="conv"), PredictionMimicking(), PKD()]
    distiller = Distiller(pair=pair, methods=methods).to(device)
    images, samples = batch[0].to(device), [sample.to(device) for sample in batch[1]]
    exact = distiller.parse_losses(distiller.loss(images, samples))[1]
    with torch.autocast(device, torch.bfloat16):
        total, losses = distiller.parse_losses(distiller.loss(images, samples))
    total.backward()
    assert losses.keys() == exact.keys()
    for name, value in losses.items():
        if "kd" in name:
            assert value.dtype == torch.float32, name
            assert value.item() == pytest.approx(exact[name].item(), rel=0.1, abs=0.02), name
    grads = [p.grad for p in distiller.parameters() if p.grad is not None]
    assert grads and all(grad.isfinite().all() for grad in grads)
    assert all(p.grad.any() for p in distiller.methods[0].learned.parameters() if p.dim() > 1)
