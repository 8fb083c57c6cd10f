"""Memory counted to the byte."""

import torch
from torch import nn

from crosskd_lab.runs.step_cost import kept_bytes, resident_bytes, state_bytes


class Product(nn.Module):
    """Inputs times a weight of 1000 floats."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1000))
        self.data_preprocessor = lambda batch, training: batch

    def forward(self, inputs, mode):
        return {"loss": inputs * self.weight}

    def parse_losses(self, losses):
        return losses["loss"].sum(), {}


def test_what_a_forward_keeps_is_counted_once():
    """The product keeps the inputs for the weight's gradient, and the weight for the inputs'."""
    model, batch = Product(), {"inputs": torch.ones(1000)}
    assert kept_bytes(model, batch, [model.weight]) == 4000
    assert kept_bytes(model, batch, []) == 4000, "inputs that need no gradient: no weight"
    batch["inputs"].requires_grad_()
    assert kept_bytes(model, batch, []) == 8000
    assert model.weight.grad is None


def test_weights_gradients_and_the_optimisers_state_come_on_top():
    from mmengine.optim import OptimWrapper

    model, batch = Product(), {"inputs": torch.ones(1000)}
    optimiser = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    assert resident_bytes(model, batch) == 12000, "kept inputs, weight, gradient"
    assert state_bytes(optimiser) == 0, "no momentum yet"
    optimiser.update_params(model(**batch, mode="loss")["loss"].sum())
    assert state_bytes(optimiser) == 4000
