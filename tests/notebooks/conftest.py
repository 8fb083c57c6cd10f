"""Each notebook is executed once, whichever of several test processes comes first."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from crosskd_lab.notebook.book import covers, execute

FOLDERS = {  # what a notebook would otherwise write below runs/
    "02_the_race": ("out", "race"),
    "06_how_training_unfolds": ("race", "race"),
    "08_which_layer": ("out", "runs"),
    "09_train_it_for_real": ("out", "runs"),
    "10_your_own_data": ("out", "runs"),
}


def smoke(name: str, folder: Path) -> dict[str, str]:
    """Parameters for a quick run of a notebook that writes into ``folder`` alone."""
    written = dict([FOLDERS[name]]) if name in FOLDERS else {}
    return {"scale": "smoke"} | {key: str(folder / place) for key, place in written.items()}


@pytest.fixture(scope="session")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``executed(name)``: the file of a notebook after a run at scale smoke."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str) -> Path:
        (cover,) = (cover for cover in covers() if cover.path.stem == name)
        out = shared / name
        out.mkdir(exist_ok=True)
        failed = out / "error.txt"
        with FileLock(out / "lock"):
            if not failed.exists():
                failed.write_text(execute(cover, out, smoke(name, out)).error or "")
        assert not (error := failed.read_text()), f"{name}: {error}"
        return out / cover.path.name

    return once
