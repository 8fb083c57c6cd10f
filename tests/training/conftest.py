"""A tiny experiment: a pocket pair on 64-pixel scenes, an untrained teacher, seconds to train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
TINY = {
    "teacher.checkpoint": "random",
    "data.size": 64,
    "schedule.steps": 4,
    "schedule.batch": 2,
    "schedule.validate_every": 2,
    "schedule.warmup": 2,
}


@pytest.fixture
def tiny(scenes_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A function from settings to the completed config; it logs every step."""
    monkeypatch.syspath_prepend(str(HERE))  # so that configs find toy_methods

    def load(settings: dict[str, Any] | None = None, seed: int = 3) -> Any:
        from crosskd_lab.experiment import load_experiment

        cfg = load_experiment("pocket/crosskd", {**TINY, **(settings or {})}, scenes_dir, seed)
        for hook in cfg.custom_hooks:
            if hook["type"] == "RunMetrics":
                hook["every"] = 1
        return cfg

    return load
