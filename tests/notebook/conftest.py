"""One student beside an untrained teacher, on images that need no resizing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crosskd_lab.data.scene_sets import write_scenes


@pytest.fixture(scope="session")
def tiny_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight training and three validation images of 160 by 160 pixels; read it only."""
    out = tmp_path_factory.mktemp("lesson") / "tiny"
    return write_scenes(out, size=160, train=8, val=3, seed=0)


@pytest.fixture(scope="session")
def student(tiny_scenes: Path) -> Any:
    """A CrossKD student after the steps of scale smoke."""
    from crosskd_lab.notebook.students import train_student

    return train_student("crosskd", "smoke", tiny_scenes, teacher="random")


@pytest.fixture(scope="session")
def batch(student: Any) -> dict[str, Any]:
    """The three validation images as detectors get them."""
    from crosskd_lab.notebook.students import held_out

    return held_out(student)
