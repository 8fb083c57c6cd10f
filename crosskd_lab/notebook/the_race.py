"""What a race says in a notebook: every validation, and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.utils.capture import capture_output


@contextmanager
def calm() -> Iterator[None]:
    """Without what the engine's packages say of each other, and bars that a page would keep."""
    with (
        warnings.catch_warnings(),
        capture_output(stdout=False, stderr=False, display=True),
    ):
        warnings.simplefilter("ignore")
        yield


def tell(method: str, seed: int, row: dict[str, Any]) -> None:
    """Print the AP of a validation."""
    if row["kind"] == "val":
        print(f"{method}, seed {seed}, step {row['step']}: AP {row.get('AP', 0.0):.1f}", flush=True)
