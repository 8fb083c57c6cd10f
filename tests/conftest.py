"""What all tests share: calm threads, a tiny scene set, and the real data where there is some."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch is imported here or in a child process: idle threads must sleep, not spin.
os.environ.setdefault("OMP_NUM_THREADS", str(min(2, os.cpu_count() or 1)))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def scenes_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene set of 24 training and 16 validation images of 96 by 96 pixels; read it only."""
    from crosskd_lab.scenes import write_scenes

    out = tmp_path_factory.mktemp("scenes") / "tiny"
    return write_scenes(out, size=96, train=24, val=16, seed=0, processes=1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real COCO-format sets that ``CROSSKD_REAL_DATA`` names; read it only."""
    named = os.environ.get("CROSSKD_REAL_DATA")
    if not named:
        pytest.skip("CROSSKD_REAL_DATA names no folder of real COCO-format sets")
    if not (folder := Path(named)).is_dir():
        pytest.fail(f"CROSSKD_REAL_DATA={named} is no folder: correct it or unset it")
    return folder
