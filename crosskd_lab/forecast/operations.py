"""What a step does, counted instead of timed: multiply-adds, and bytes that operations touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


class Operations(NamedTuple):
    """Counts of one run.

    Attributes:
        multiply_adds: Of convolutions and matrix products, forward and backward.
        moved: Bytes that operations read and wrote, each operand and result counted once an
            operation; views count nothing. Caches make the traffic to memory less.
        calls: Operations that moved anything.
    """

    multiply_adds: int
    moved: int
    calls: int

    def less(self, other: Operations) -> Operations:
        """What this run did beyond another."""
        return Operations(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


class _Moved(TorchDispatchMode):
    """Adds up the bytes of every operation's operands and results."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            touched = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
            self.bytes += sum(t.numel() * t.element_size() for t in touched)
            self.calls += 1
        return out


def count(run: Callable[[], object]) -> Operations:
    """Run once and count."""
    with FlopCounterMode(display=False) as flops, _Moved() as moved:
        run()
    return Operations(flops.get_total_flops() // 2, moved.bytes, moved.calls)
