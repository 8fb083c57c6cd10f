"""The memory of a step: a GPU's peak, or what a CPU's forward keeps."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from typing import Any

import torch
from mmengine.device import get_device
from torch import Tensor

from ..provenance import machine


def kept_bytes(model: Any, batch: dict, weights: Iterable[Tensor]) -> int:
    """Bytes that a forward keeps for its backward, each storage once, ``weights`` left out."""
    known = {p.untyped_storage().data_ptr() for p in weights}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        data = model.data_preprocessor(batch, True)
        losses = model(**data, mode="loss")
    loss, _ = model.parse_losses(losses)
    loss.backward()  # or the taps would keep this graph, and all models' graphs fill the memory
    model.zero_grad(set_to_none=True)
    return sum(kept.values())


def on_gpu() -> bool:
    """Whether steps run on a GPU."""
    return get_device() == "cuda"


def device_name() -> str:
    """The name of the GPU, or of the CPU."""
    return torch.cuda.get_device_name() if on_gpu() else str(machine()["cpu"] or platform.machine())


def _peak(model: Any, batch: dict, optimiser: Any) -> Callable[[], float]:
    torch.cuda.reset_peak_memory_stats()
    return lambda: float(torch.cuda.max_memory_allocated())


def _kept(model: Any, batch: dict, optimiser: Any) -> Callable[[], float]:
    """Counted before the steps, but for the optimiser's state, which comes with them."""
    teacher = getattr(getattr(model, "pair", None), "teacher", None)
    weights = [t for m in (model, teacher) if m is not None for t in _tensors(m)]
    kept = kept_bytes(model, batch, weights) + sum(map(size_of, weights))
    kept += sum(size_of(p) for p in model.parameters() if p.requires_grad)

    def all_of_it() -> float:
        states = [v for state in optimiser.optimizer.state.values() for v in state.values()]
        return float(kept + sum(size_of(v) for v in states if torch.is_tensor(v)))

    return all_of_it


MEMORY = {True: _peak, False: _kept}
"""By whether it is a GPU: begins to count memory; what it gives says how much it came to."""


def _tensors(module: Any) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def size_of(tensor: Tensor) -> int:
    """Bytes of a tensor's elements."""
    return tensor.numel() * tensor.element_size()
