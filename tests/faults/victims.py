"""Work in children that are killed at given moments: ``python victims.py JOBS.json``.

A job says what it does (``kind``), where (``folder``, ``data``) and when its children die, one
child after the other in the same folder: ``deaths`` are shares of the file operations of an
undisturbed child, at one of which the child kills itself; "full" stands for a disk that takes no
large file, and "twins" for two children at once. A last child works to the end. Every file
operation inside the folder is a moment, so a kill meets every state in which files can be left.
Children are forked before torch has any thread, and the library is imported once.
"""

import gc
import json
import os
import resource
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from crosskd_lab.data.scene_sets import write_scenes
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.train import prepare_engine, train
from crosskd_lab.errors import LabError
from crosskd_lab.runs.race import run_race

TINY = {
    "teacher.checkpoint": "random",
    "data.size": 64,
    "schedule.batch": 2,
    "schedule.warmup": 1,
}
SCHEDULE = {"schedule.steps": 6, "schedule.validate_every": 2}
SCENES = {"size": 32, "train": 40, "val": 8, "seed": 5}
OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


def work(kind: str, folder: Path, data: Path) -> None:
    """One piece of work, begun or gone on with; the same words every time."""
    if kind == "train":
        cfg = load_experiment("pocket/crosskd", TINY | SCHEDULE, data, 3)
        for hook in cfg.custom_hooks:
            if hook["type"] == "RunMetrics":
                hook["every"] = 1
        train(cfg, folder, (folder / "record.json").exists())
    elif kind == "race":
        small = {key: value for key, value in TINY.items() if key != "teacher.checkpoint"}
        run_race(folder, 3, 1, ("none", "crosskd"), data, "random:gfl_r18_w32", settings=small)
    elif kind == "sweep":
        from crosskd_lab.report.sweep_spec import Row, Sweep
        from crosskd_lab.runs.sweep import run_sweep

        settings = TINY | {"schedule.steps": 3, "schedule.validate_every": 2}
        rows = tuple(Row(name, f"pocket/{name}", settings) for name in ("none", "crosskd"))
        sweep = Sweep("tiny", "A tiny sweep", None, rows, (0,))
        sets = data, data.parent / "held_out"
        run_sweep(sweep, runs=folder / "runs", recorded=folder / "recorded", data=sets)
    else:
        write_scenes(folder, **SCENES)


def child(job: dict[str, Any], death: int | str | None, tally: Path) -> int:
    """Fork a child that works until its death; its number."""
    if number := os.fork():
        return number
    folder, seen = Path(job["folder"]), 0

    def watch(event: str, given: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in OPERATIONS and str(given[0]).startswith(str(folder)):
            seen += 1
            if seen == death:
                os.kill(os.getpid(), signal.SIGKILL)

    if death == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    sys.addaudithook(watch)
    code = 0
    try:
        work(job["kind"], folder, Path(job["data"]))
    except LabError as error:
        print(f"{folder}: {error}", file=sys.stderr, flush=True)
        code = 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 2
    tally.write_text(str(seen))
    os._exit(code)


def main(file: str) -> None:
    """Print how the children of every job ended: -9 for a kill, 0 for the end, 1 for one line."""
    prepare_engine()
    for needed in ("pandas", "torchvision"):  # once, here: each child would import them for itself
        import_module(needed)
    gc.freeze()  # mmengine collects garbage for every set that it opens
    whole: dict[str, int] = {}
    for job in json.loads(Path(file).read_text()):
        tally, ends = Path(file).with_suffix(".tally"), []
        for death in [*job["deaths"], None]:
            if isinstance(death, float):
                death = 1 + int(death * whole[job["kind"]])
            twins = 2 if death == "twins" else 1
            numbers = [child(job, death, tally) for _ in range(twins)]
            ends += sorted(os.waitstatus_to_exitcode(os.waitpid(n, 0)[1]) for n in numbers)
        whole.setdefault(job["kind"], int(tally.read_text()))
        print(json.dumps(ends), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
