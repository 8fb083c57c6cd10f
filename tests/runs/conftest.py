"""The words of a small launch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
