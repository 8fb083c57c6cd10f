"""Every head's step on a GPU, in its reference form: the CPU's numbers."""

import copy

import pytest
import torch

from crosskd_lab.distiller import Distiller
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.methods.pkd import PKD
from crosskd_lab.pair import Pair

HEADS = ["gfl", "retinanet", "fcos", "fcos_exp", "atss", "ddod", "paa", "vfnet", "tood"]
HEADS += ["rtmdet", "yolox"]
pytestmark = pytest.mark.cuda


@pytest.mark.parametrize("family", HEADS)
def test_a_step_in_fp32_is_the_cpus(detector, batch, family, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    found = {}
    for device in ("cpu", "cuda"):
        pair = Pair(detector(family, seed=1), detector(family, seed=2))
        methods = [CrossKD(), PredictionMimicking(), PKD()]
        model = Distiller(pair=pair, methods=methods).train().to(device)
        samples = [copy.deepcopy(sample).to(device) for sample in batch[1]]
        total, losses = model.parse_losses(model.loss(batch[0].to(device), samples))
        total.backward()
        slope = [p.grad.flatten().cpu() for p in model.parameters() if p.grad is not None]
        found[device] = {n: v.item() for n, v in losses.items()}, torch.cat(slope)
    (here, slope), (there, other) = found["cpu"], found["cuda"]
    assert there == {name: pytest.approx(value, rel=2e-3, abs=2e-4) for name, value in here.items()}
    assert torch.nn.functional.cosine_similarity(slope, other, 0) > 0.999
