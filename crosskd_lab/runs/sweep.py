"""Running a declared sweep, each run one line in the records; and the first steps made again."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import pandas as pd
import torch
from mmengine.config import Config
from tqdm.auto import tqdm

from ..data.scene_sets import data_checksum, write_scenes
from ..engine.config import load_experiment
from ..engine.evaluate import evaluate, find_saved
from ..engine.provenance import code_version, machine, now, origin
from ..engine.record import find_runs, read_metrics, read_record
from ..engine.together import train_together
from ..engine.train import methods_of, prepare_engine, train
from ..errors import LabError, tell_once
from ..files import PROJECT, Busy, append_line, open_folder, write_whole
from ..pair import build_detector
from ..paper import AP_COLUMNS
from ..report.sweep_spec import (
    CONFIRMED,
    RECORDED,
    TEST,
    Row,
    Sweep,
    difference,
    digest,
    latest,
    read_confirmed,
    read_lines,
)
from .race import race_scenes

Listener = Callable[[Row, int, dict[str, Any]], None]
AT_ONCE = 4
"""So many rows of a seed train in one loop: more would be long without a record."""
BESIDE = "CROSSKD_BESIDE_OTHERS"
"""Set for a process beside which others train."""


def scenes_of(sweep: Sweep) -> tuple[Path, Path]:
    """The scenes to train on and those to report on, made if they are not there yet."""
    folder = PROJECT / "data"
    return (
        race_scenes() if sweep.scenes is None else _cached_scenes(sweep.scenes),
        _cached_scenes(sweep.test)
        if sweep.test != TEST
        else write_scenes(folder / "test_scenes", **TEST),
    )


def _cached_scenes(said: Mapping[str, int]) -> Path:
    return write_scenes(PROJECT / "data" / "cache" / f"scenes-{digest(dict(said))}", **said)


def run_sweep(
    sweep: Sweep,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (),
    runs: str | Path = "runs/sweeps",
    recorded: str | Path = RECORDED,
    data: tuple[Path, Path] | None = None,
    listener: Listener | None = None,
) -> list[dict[str, Any]]:
    """Run what is not done yet, and return the lines that were added to the records.

    Rows of a seed train side by side, as a race's students do; where one of them fails, they go on
    one by one, and it is recorded as failed. ``only`` names rows, ``seeds`` replace the sweep's
    own. Run folders go to ``<runs>/<sweep>/<row>-s<seed>``, an interrupted one is resumed;
    ``<sweep>.jsonl`` in ``recorded`` gets a line a run. ``data`` are sets to train on (train and
    val) and to report on (test) instead of synthetic ones; ``listener`` is called with row, seed
    and each row of metrics. LabError for a row that is not declared, or a folder with a run that
    was superseded; Busy for a row that another process is running.
    """
    if not to_do(sweep, only, seeds, recorded):
        return []
    old = {(line["key"], line["seed"]): line.get("superseded") for line in read_lines(recorded)}
    for place in (runs, recorded):
        open_folder(place)
    prepare_engine()
    sets = data or scenes_of(sweep)
    lines: list[dict[str, Any]] = []
    for group in _groups(to_do(sweep, only, seeds, recorded)):
        names, seed = [row.name for row, _ in group], group[0][1]
        todo = to_do(sweep, names, [seed], recorded)  # others have been run meanwhile
        jobs = []
        for row, _ in todo:
            folder = Path(runs) / sweep.name / f"{row.name}-s{seed}"
            entry = old.get((row.key, seed))
            if entry and find_runs(folder) and read_record(folder)["created"] < entry["before"]:
                raise LabError(
                    f"{folder} holds the superseded run: delete it, or say --runs elsewhere"
                )
            tell = [partial(listener, row, seed)] if listener else []
            jobs.append(partial(_job, sweep, row, seed, folder, sets[0], tell))
        if len(jobs) > 1:
            try:
                left = [said for job in jobs if not _is_done(said := job(shared=True))]
                if len(left) > 1:
                    train_together(left)
            except Busy:  # the one that runs it will record it
                raise
            except Exception as error:  # whose it was shows when each is trained alone
                tell_once(f"{sweep.name}, seed {seed}: its rows go on one by one: {error}")
        for (row, _), job in zip(todo, jobs, strict=True):
            line = run_row(sweep, row, seed, job, sets[1])
            append_line(Path(recorded) / f"{sweep.name}.jsonl", line)
            lines.append(line)
    return lines


def _groups(todo: Sequence[tuple[Row, int]]) -> Iterator[list[tuple[Row, int]]]:
    """What trains at once: up to ``AT_ONCE`` rows of a seed."""
    for _, same in groupby(todo, key=lambda job: job[1]):
        rows = list(same)
        yield from (rows[k : k + AT_ONCE] for k in range(0, len(rows), AT_ONCE))


def _job(
    sweep: Sweep,
    row: Row,
    seed: int,
    folder: Path,
    data: Path,
    tell: Sequence[Any],
    shared: bool = False,
) -> dict[str, Any]:
    """A row's arguments of ``train``; LabError for a config that cannot be read.

    ``shared``: others train beside it, so that its seconds will not be its own.
    """
    extra: dict[str, Any] = {"sweep": sweep.name}
    if shared or BESIDE in os.environ:
        extra["shared"] = True
    return {
        "cfg": load_experiment(row.config, row.settings, data, seed),
        "folder": folder,
        "resume": (folder / "record.json").exists(),
        "command": _words(sweep, row, seed),
        "listeners": tell,
        "extra": extra,
    }


def _is_done(job: Mapping[str, Any]) -> bool:
    """Whether a job's run has come to its end, and has only to be measured."""
    return job["resume"] and read_record(job["folder"])["status"] == "done"


def _words(sweep: Sweep, row: Row, seed: int) -> list[str]:
    return ["crosskd-lab", "sweep", sweep.name, "--only", row.name, "--seeds", str(seed)]


def run_side_by_side(
    sweep: Sweep,
    file: str,
    plan: Sequence[tuple[Row, int]],
    workers: int,
    options: Sequence[str] = (),
) -> None:
    """Run each (row, seed) in a process of its own, ``workers`` at a time.

    The sweep's scenes are made first, before processes would make them all at once; they read
    ``file`` again, and ``options`` are more words of their command line.
    """
    scenes_of(sweep)

    def one(job: tuple[Row, int]) -> None:
        row, seed = job
        words = ["sweep", file, "--only", row.name, "--seeds", str(seed), *options]
        command = [sys.executable, "-c", "from crosskd_lab.cli import main; main()", *words]
        nowhere, env = subprocess.DEVNULL, os.environ | {BESIDE: "1"}
        with subprocess.Popen(command, stdout=nowhere, stderr=nowhere, env=env) as process:
            working.append(process)
            if stopped.is_set():  # while it was being started
                process.terminate()
            process.wait()

    working: list[subprocess.Popen] = []
    stopped = Event()
    with ThreadPoolExecutor(workers) as pool:
        try:
            runs = {pool.submit(one, job) for job in plan}
            with tqdm(total=len(plan), unit="run", desc=sweep.name) as bar:
                while runs:  # in short waits: a signal that comes just before one is heard after it
                    ended, runs = wait(runs, timeout=1, return_when=FIRST_COMPLETED)
                    bar.update(len([run.result() for run in ended]))
        except BaseException:  # Ctrl-C may reach this process alone
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in working:
                process.terminate()
            raise


def to_do(
    sweep: Sweep, only: Sequence[str] = (), seeds: Sequence[int] = (), recorded: Any = RECORDED
) -> list[tuple[Row, int]]:
    """What of a sweep has no record that is done, in the order in which it will be run."""
    known = latest(read_lines(recorded))
    done = {place for place, line in known.items() if line["status"] == "done"}
    return [(row, seed) for row, seed in sweep.plan(only, seeds) if (row.key, seed) not in done]


def run_row(
    sweep: Sweep, row: Row, seed: int, job: Callable[[], dict[str, Any]], test: Path
) -> dict[str, Any]:
    """Train what is left of a ``job``, measure it once on the test split, and say how it went."""
    line: dict[str, Any] = {"row": row.name, "key": row.key, "table": sweep.table}
    line |= {"config": row.config, "settings": dict(row.settings), "seed": seed}
    line |= origin() | {"command": _words(sweep, row, seed)}
    try:
        todo = job()
        if not _is_done(todo):
            train(**todo)
        found = _results(row, todo["cfg"], todo["folder"], test)
    except Busy:  # the one that runs it will record it
        raise
    except Exception as error:
        reason = str(error).strip() or type(error).__name__
        return line | {"status": "failed", "reason": reason.splitlines()[0]}
    return line | found | {"status": "done", "reason": None}


def _results(row: Row, cfg: Config, folder: Path, test: Path) -> dict[str, Any]:
    """What is recorded of a run that came to its end."""
    saved, record = find_saved(folder), read_record(folder)
    student = build_detector(cfg.model.get("student", cfg.model))
    on_test = evaluate(saved.config, saved.checkpoint, test, "test")
    metrics = read_metrics(folder)
    val = metrics.loc[metrics["kind"] == "val"].drop(columns=["kind", "loss"], errors="ignore")
    measured = [name for name in val if name in ("step", "AP") or name.startswith("l1_")]
    curve = val[measured].round(4)
    return {
        **{name: on_test.get(name) for name in AP_COLUMNS},
        "val": record["results"],
        "curve": curve.to_dict("records"),
        "begin": first_losses(metrics),
        "own": own_shares(metrics),
        "steps": int(cfg.schedule.steps),
        **times(metrics),
        **({"shared": True} if record["extra"].get("shared") else {}),  # so are its seconds
        "parameters": sum(p.numel() for p in student.parameters()),
        "method": record["methods"],
        "config_hash": config_hash(cfg),
        "resumed": bool(record["resumed"]),
        "commits": [record["git"], *(again["git"] for again in record["resumed"])],
        "data": {"train": record["data"]["checksum"], "test": data_checksum(test)},
        "teacher": record["teacher"],
        "threads": record["extra"]["threads"],
        "gpus": record["extra"]["gpus"],
    }


def first_losses(metrics: pd.DataFrame) -> dict[str, float]:
    """The first row of training losses with its step, by which the run can be known again."""
    rows = metrics[metrics["kind"] == "train"] if "kind" in metrics else metrics
    if not len(rows):
        return {}
    first = rows.iloc[0].dropna()
    return {name: float(first[name]) for name in first.index if "loss" in name or name == "step"}


def own_shares(metrics: pd.DataFrame) -> dict[str, float]:
    """What `CrossKD.measures` said last, the student's own share of each loss; {} without one."""
    rows = metrics[metrics["kind"] == "train"].filter(like="own_").dropna(how="all")
    return rows.iloc[-1].round(4).to_dict() if len(rows) else {}


def times(metrics: pd.DataFrame) -> dict[str, float]:
    """Seconds of training alone, validations and pauses left out, and of the median step.

    A row of losses of ``read_metrics`` says how many seconds each step since the row before took.
    """
    if "seconds_per_step" not in metrics:  # a run shorter than one row of losses
        return {"train_seconds": 0.0, "step_seconds": 0.0}
    rows = metrics.loc[metrics["kind"] == "train", ["step", "seconds_per_step"]]
    seconds, steps = rows["seconds_per_step"], rows["step"].diff().fillna(rows["step"])
    whole, median = float((seconds * steps).sum()), float(seconds.median())
    return {"train_seconds": round(whole, 2), "step_seconds": round(median, 4)}


def config_hash(cfg: Config) -> str:
    """Hash of what a completed config says in substance: models, methods, tap, images, schedule.

    Where things lie, also in which module a class, and how the engine is set up is left out.
    """
    model: Mapping[str, Any] = cfg.model
    parts = {"student": model.get("student", model), "tap": model.get("tap")}
    parts |= {"methods": methods_of(cfg), "schedule": cfg.schedule, "size": cfg.data.size}
    parts["teacher"] = (model.get("teacher") or {}).get("config")
    return digest(parts)


def first_losses_again(
    sweep: Sweep, line: dict[str, Any], data: Path | None = None
) -> dict[str, float]:
    """Train the first steps of a record that is done again; the losses of the same step."""
    prepare_engine()
    data = data or scenes_of(sweep)[0]
    cfg = load_experiment(line["config"], line["settings"], data, line["seed"])
    cfg.train_cfg.max_iters = int(line["begin"]["step"])
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None  # nothing to validate so early
    cfg.default_hooks.checkpoint = dict(type="CheckpointHook", by_epoch=False, interval=10**9)
    with threads_of(line), TemporaryDirectory() as folder:
        train(cfg, folder)
        return first_losses(read_metrics(folder))


@contextmanager
def threads_of(line: dict[str, Any]) -> Iterator[None]:
    """As many threads as a record's run had: how sums are split decides how they are rounded."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(line["threads"]))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def replay(
    sweep: Sweep,
    only: Iterable[str] = (),
    seeds: Iterable[int] = (),
    recorded: str | Path = RECORDED,
) -> Iterator[tuple[str, int, float]]:
    """Make the first steps of recorded runs again, by default with the first seed recorded of each
    row, and write into the records' ``confirmed.json`` how they compared.

    Row, seed and ``difference``; up to ``CLOSE`` the row agrees, above it is stale. LabError in the
    end where records are of a GPU and this process has none, or the other way round.
    """
    known, chosen, tried = latest(read_lines(recorded)), list(seeds), set()
    elsewhere: dict[str, list[str]] = {}
    for row, seed in sweep.plan(only, chosen):
        line = known.get((row.key, seed), {})
        if not line.get("begin") or (not chosen and row.key in tried):
            continue
        if bool(line["gpus"]) != torch.cuda.is_available():  # they round otherwise
            where = "a GPU: check it where there is one"
            if not line["gpus"]:
                where = "the CPU: put CUDA_VISIBLE_DEVICES= before the command"
            elsewhere.setdefault(where, []).append(f"{row.name}-s{seed}")
            continue
        tried.add(row.key)
        apart = difference(line["begin"], first_losses_again(sweep, line))
        _note(row.key, line, apart, Path(recorded))
        yield row.name, seed, apart
    for where, rows in elsewhere.items():
        raise LabError(f"{', '.join(rows)} recorded on {where}")


def _note(key: str, line: dict[str, Any], apart: float, recorded: Path) -> None:
    """Write how a record's first losses compared, among those of the row's other seeds."""
    known = read_confirmed(recorded)
    known.setdefault(key, {})[str(line["seed"])] = {
        "row": f"{line['sweep']}, {line['row']}",
        "recorded": line["date"],
        "date": now(),
        "commit": code_version(),
        "difference": apart if math.isfinite(apart) else None,
        "machine": machine(),
    }
    text = json.dumps(dict(sorted(known.items())), indent=1, allow_nan=False) + "\n"
    write_whole(recorded / CONFIRMED, text)
