"""A measured step with round numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crosskd_lab.forecast import Measurement, Work


@pytest.fixture
def measured() -> Callable[..., Measurement]:
    """``measured(step=0.4, ...)``: 0.2 s on a GPU, of which 0.12 s are backward, 1e9 bytes."""
    work = Work(batch=2, rate=0.01, base_batch=16, images=117_266, epochs=12)
    base = Measurement(
        recipe="paper/table5_crosskd",
        work=work,
        step=0.2,
        backward=0.12,
        gradient=1_000_000_000,
        memory=8e9,
        memory_is="peak",
        device="Round GPU",
        gpu=True,
        size=(800, 1088),
        threads=1,
        steps=5,
        torch="2.0",
        date="2026-01-01T00:00:00+00:00",
    )

    def make(**changes: Any) -> Measurement:
        return replace(base, **changes)

    return make
