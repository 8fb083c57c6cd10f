"""Notebook 09: a run that outlives its kernel: launched, left alone, found, stopped, resumed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ..engine.hooks import last_checkpoint, saved_step
from ..engine.record import RECORD, read_record
from ..engine.train import quiet
from ..errors import LabError
from ..files import PROJECT
from ..report.results import results
from ..runs.launch import launch
from ..runs.measurement import Measurement
from ..runs.processes import Run
from ..runs.recipes import recipes
from ..runs.step_cost import measure, step_of
from .judge import Wrong, verdict
from .offer import Command
from .students import effort, lesson_scenes

POCKET, GPUS = "pocket/crosskd", 8
PARTS = 3  # of a run: each ends with a validation and a checkpoint
SMOKE = {"teacher.checkpoint": "random", "data.size": 64, "schedule.batch": 2}
SMOKE_STEPS = 60  # of a tenth of a second: long enough to be stopped on the way
LOOK_EVERY = 0.1  # seconds

# What stands for a kernel that is killed: a process that launches, and dies without a goodbye.
DIES = (
    "import json, os, sys; from crosskd_lab.runs.launch import launch; "
    "launch(**json.loads(sys.argv[1])); sys.stdout.flush(); os.kill(os.getpid(), 9)"
)


def recipe_commands() -> dict[str, Command]:
    """Every recipe of the paper: its command, and what starts it from here on eight GPUs."""
    offered = {}
    with quiet():
        rows = recipes().to_dict("records")
    for row in rows:
        name, points = row["recipe"], row["AP"]
        printed = f" (the paper's AP: {points})" if points == points and points else ""
        words = f"crosskd-lab launch {name} --gpus {GPUS}"
        offered[f"{name}{printed}"] = Command(words, partial(launch, name, gpus=GPUS))
    return offered


def pocket_words(
    scale: str, out: str | Path | None = None, data: str | Path | None = None
) -> dict[str, Any]:
    """What this notebook gives to :func:`crosskd_lab.runs.launch.launch`.

    Args:
        scale: "smoke", "cpu" or "gpu".
        out: Folder of studies; ``runs/for_real`` by default. The run is ``<scale>/crosskd-s0``.
        data: COCO-format folder with the teacher's classes; the lesson's scenes by default.
    """
    steps = SMOKE_STEPS if scale == "smoke" else effort(scale).steps
    part = -(-steps // PARTS)
    settings: dict[str, Any] = dict(SMOKE) if scale == "smoke" else {}
    settings.setdefault("schedule.batch", effort(scale).batch)
    settings |= {"schedule.steps": steps, "schedule.warmup": part // 2}
    settings["schedule.validate_every"] = part
    folder = Path(out or PROJECT / "runs" / "for_real") / scale / "crosskd-s0"
    return {
        "config": POCKET,
        "settings": settings,
        "data": str(data or lesson_scenes(scale)),
        "out": str(folder),
    }


def step_here(scale: str, words: dict[str, Any]) -> Measurement:
    """A step of the run, timed on this machine (one step at scale smoke, and not kept).

    Args:
        scale: "smoke", "cpu" or "gpu".
        words: As :func:`pocket_words` gives them.
    """
    about = words["config"], words["settings"], words["data"]
    with quiet():
        return measure(*about, steps=1) if scale == "smoke" else step_of(*about)


def launch_elsewhere(words: dict[str, Any]) -> str:
    """Launch from a process that is then killed, as a kernel is; what it printed.

    A run that is there already is left as it is.

    Args:
        words: As :func:`pocket_words` gives them.

    Raises:
        LabError: the launch was refused.
    """
    if (Path(words["out"]) / RECORD).exists():
        return f"{words['out']} is there already: nothing was started"
    starter = [sys.executable, "-W", "ignore", "-c", DIES, json.dumps(words)]
    done = subprocess.run(starter, capture_output=True, text=True, cwd=PROJECT, check=False)
    if done.returncode >= 0:  # it did not come to its own end by a signal
        raise LabError((done.stderr.strip().splitlines() or ["the launch gave no word"])[-1])
    return f"{done.stdout.strip()}\nits starter ended by signal {-done.returncode}"


def stop_after_checkpoint(run: Run, patience: float = 600) -> str:
    """Wait for the run's first checkpoint, stop the run, and say where it stood.

    Args:
        run: Any run; one that is over is left as it is.
        patience: Seconds to wait.

    Raises:
        LabError: no checkpoint came in that time, or the run failed before.
    """
    deadline = time.monotonic() + patience
    while last_checkpoint(run.folder) is None:
        if run.status == "failed" or time.monotonic() > deadline:
            raise LabError(f"{run.folder} is {run.status} without a checkpoint: {run.reason}")
        time.sleep(LOOK_EVERY)
    if run.status in ("starting", "running"):
        run.stop()
    saved = saved_step(last_checkpoint(run.folder))
    return f"{run.status} at step {run.step} of {run.steps}; newest checkpoint: step {saved}"


def go_on(run: Run, patience: float | None = None) -> str:
    """Resume a run that was stopped, wait, and say what became of it.

    Args:
        run: Any run; one that is done is left as it is.
        patience: Seconds to wait; until the end by default.
    """
    if run.status in ("stopped", "interrupted"):
        run.resume()
    run.wait(patience)
    times = len(read_record(run.folder)["resumed"])
    said = f"{run.status}: step {run.step} of {run.steps}, resumed {times} time{'s' * (times != 1)}"
    return said + f" in {run.folder.parent.name}/{run.folder.name}"


def in_the_table(run: Run, number: int = 1) -> pd.DataFrame:
    """The paper's CrossKD rows of a table, and below them the row of this run's study.

    Args:
        run: A run of :func:`pocket_words` that is done.
        number: The paper's table.
    """
    study = run.folder.parent
    frame = results(number, sources=("paper", "yours"), runs=study.parent)
    frame = frame[(frame["source"] == "paper") | (frame["study"] == study.name)]
    columns = ["source", "study", "method", "variant", "n", "mean"]
    return frame.loc[frame["method"] == "CrossKD", columns].reset_index(drop=True)


@verdict
def check_resume(goes_on_from: Callable[[int, int, int], int]) -> str:
    """Whether ``goes_on_from(killed, every, broken)`` is the step of the last whole checkpoint.

    Args:
        goes_on_from: Takes the step at which a run was killed, the steps between checkpoints, and
            how many of the newest checkpoints a broken disk has cut short.
    """
    for given, right in {
        (250, 100, 0): 200,
        (200, 100, 0): 200,
        (90, 100, 0): 0,
        (250, 100, 1): 100,
        (250, 100, 2): 0,
        (90, 100, 1): 0,
    }.items():
        got = goes_on_from(*given)
        if got != right:
            hint = "never below 0, which is the start" if got < 0 else "count whole checkpoints"
            said = f"killed at {given[0]}, saved every {given[1]}, {given[2]} broken"
            raise Wrong(f"{said}: the run goes on from {right}, not {got}; {hint}")
    return "from the last checkpoint that is whole, and from the start where there is none"
