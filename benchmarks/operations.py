"""What every method adds to a step, counted: multiply-adds and bytes touched, beside no clock.

    python benchmarks/operations.py [--batch 16] [--size 160] [--out FILE.csv]

The counterpart of benchmarks/methods.py, of the same steps on the same batch; docs/costs.md reads
both. Forward and backward are counted, the optimiser is not. It needs no quiet machine.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from methods import batch_of, model_for
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from crosskd_lab.distiller import Distiller
from crosskd_lab.engine.train import prepare_engine
from crosskd_lab.files import write_whole
from crosskd_lab.methods import METHODS


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


def step_of(model: Distiller, batch: dict) -> Operations:
    """Forward and backward of one training step."""

    def run() -> None:
        data = model.data_preprocessor(batch, training=True)
        model.parse_losses(model(**data, mode="loss"))[0].backward()

    return count(run)


def counted(names: Sequence[str], batch: dict) -> pd.DataFrame:
    """A row a method: counts of its step, and ``own_`` what is beyond the teacher's forward."""
    models = {name: model_for(name, "cpu") for name in ("none", "teacher")}
    models |= {name: model_for(name, "cpu") for name in names}
    found = {name: step_of(model, batch) for name, model in models.items()}
    rows = []
    for name, all_of_it in found.items():
        own = all_of_it.less(found["teacher"])
        rows.append({"method": name, **_words(all_of_it)})
        rows[-1] |= {f"own_{what}": value for what, value in _words(own).items()}
    return pd.DataFrame(rows)


def _words(operations: Operations) -> dict[str, float]:
    return {
        "mmac": round(operations.multiply_adds / 1e6, 3),
        "moved_mb": round(operations.moved / 2**20, 1),
        "calls": operations.calls,
    }


def main() -> None:
    """Print the table, and write it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--out", type=Path, help="CSV; data/recorded/method_operations.csv")
    given = parser.parse_args()
    prepare_engine()
    logging.disable(logging.INFO)  # what every initialised weight says of itself
    table = counted(list(METHODS), batch_of(given.batch, given.size))
    print(table.to_string(index=False))
    if given.out:
        write_whole(given.out, table.to_csv(index=False))


if __name__ == "__main__":
    main()
