"""A measured step with round numbers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crosskd_lab.runs.forecast import Measurement, Work


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


SETTINGS = {
    "teacher.checkpoint": "random",
    "data.size": 64,
    "schedule.batch": 2,
    "schedule.warmup": 2,
    "schedule.validate_every": 4,
}


@pytest.fixture
def small(scenes_dir: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``small(steps)``: the words of a launch into ``tmp_path / "run"``."""

    def words(steps: int, **more: Any) -> dict[str, Any]:
        settings = {**SETTINGS, "schedule.steps": steps}
        return {
            "config": "pocket/crosskd",
            "settings": settings,
            "data": scenes_dir,
            "out": tmp_path / "run",
            **more,
        }

    return words
