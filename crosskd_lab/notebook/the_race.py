"""Notebook 02's race: yours if it is finished, else one that is run now."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from IPython.utils.capture import capture_output

from ..errors import LabError
from ..files import PROJECT
from ..runs.race import RaceResult, load_race, run_race
from .students import effort, lesson_scenes

STEPS = {"smoke": 6, "cpu": 200, "gpu": 1500}
SEEDS = {"smoke": 1, "cpu": 1, "gpu": 3}


def race_at(scale: str, out: str | Path | None = None) -> RaceResult:
    """The finished race in a folder, or a new one; says which, and tells of every validation.

    Args:
        scale: "smoke", "cpu" or "gpu": how long a new race is.
        out: The race's folder, by default ``runs/race`` (``runs/race-smoke`` at smoke).

    Raises:
        LabError: for an unknown scale, and whatever a race can refuse.
    """
    batch = effort(scale).batch
    folder = Path(out) if out else PROJECT / "runs" / ("race-smoke" if scale == "smoke" else "race")
    try:
        result = load_race(folder)
    except LabError:
        print(f"No finished race yet: running one, {STEPS[scale]} steps a student.")
    else:
        print(f"Loaded your finished race: {folder.name}")
        return result
    with calm():
        return run_race(
            folder,
            steps=STEPS[scale],
            seeds=SEEDS[scale],
            data=lesson_scenes(scale),
            settings={"schedule.batch": batch},
            listener=tell,
        )


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
