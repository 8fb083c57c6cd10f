"""Starting runs in processes of their own: planned in words, checked, then started."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import SystemRandom
from typing import Any
from uuid import uuid4

import torch
from mmengine.config import Config
from mmengine.utils import get_object_from_string

from ..configs import innermost, kept_name
from ..distiller import build_method
from ..engine.config import load_experiment
from ..engine.record import RECORD
from ..engine.train import prepare_engine, quiet
from ..errors import LabError
from ..files import LAUNCH, PROJECT, holder, kept_path, portable_path, sole_writer, usable_cores
from ..pair import build_detector
from ..report.sweep_spec import read_sweep
from ..stack.weights import load_checkpoint
from . import processes as process
from .processes import PATHS, PLAN, LaunchPlan, Run
from .slurm import CORES, executor, submit
from .slurm import describe as slurm_words

AGAIN = PROJECT / "runs" / "again"


class RowRun(Run):
    """One row of a sweep with a seed (by default its first), trained anew beside the records.

    ``<place>/<sweep>.jsonl`` gets its record. It computes on one thread, as the shipped records
    did: how sums are split decides how they are rounded. LabError for what is not declared.
    """

    def __init__(
        self, sweep: str, row: str, seed: int | None = None, place: str | Path = AGAIN
    ) -> None:
        declared = read_sweep(sweep)
        seed = declared.seeds[0] if seed is None else seed
        ((what, _),) = declared.plan([row], [seed])
        place = Path(place).absolute()
        words = ["sweep", sweep, "--only", row, "--seeds", str(seed)]
        words += ["--recorded", str(place), "--runs", str(place)]
        self.folder = place / declared.name / f"{row}-s{seed}"
        settings = dict(what.settings)
        steps = int(settings["schedule.steps"])
        self.plan = LaunchPlan(
            what.config, str(self.folder), settings, seed=seed, steps=steps, verb=words
        )

    @property
    def command(self) -> str:
        """What to type for it, in the project's folder."""
        return " ".join(["crosskd-lab", *map(portable_path, self.plan.verb)])

    def start(self) -> RowRun:
        """Begin, or go on where it was interrupted; LabError where it is under way or done."""
        begun: Any = (self.folder / process.PROCESS).exists()
        if begun and self.status in ("starting", "running", "done"):
            raise LabError(f"{portable_path(self.folder)} is {self.status}: it is made again once")
        with sole_writer(self.folder, LAUNCH) as lock:
            process.start(self.plan, lock)
        return self


COPIES = 4  # two checkpoints kept, one being written, one spare
PER_WEIGHT = 12  # bytes: the weight and two moments of the optimiser, in float32


def check_gpus(wanted: int, available: int) -> None:
    """Raise LabError where fewer GPUs are there than asked for."""
    if wanted > available:
        there = f"{available} GPU{'s' if available != 1 else ''}"
        instead = f"--gpus {available}" if available else "--gpus 0 --processes 2, on the CPU"
        raise LabError(
            f"{wanted} GPUs were asked for and this machine has {there}: say {instead}, or "
            "--slurm PARTITION to ask a cluster"
        )


def check_port(port: int) -> None:
    """Raise LabError where another process listens on a port."""
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError as error:
            raise LabError(f"port {port} is taken: leave --port out, or choose another") from error


def check_space(folder: Path, weights: int) -> None:
    """Raise LabError where the folder's disk cannot hold checkpoints of so many ``weights``."""
    needed = COPIES * PER_WEIGHT * weights + 64 * 2**20
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if (free := shutil.disk_usage(there).free) < needed:
        raise LabError(
            f"{there} has {free / 2**30:.2f} GB free and the run needs about "
            f"{needed / 2**30:.2f} GB for its checkpoints: free some, or choose another --out"
        )


def check_data(cfg: Config) -> None:
    """Raise LabError where a data set that the config names is not there."""
    for split in ("train_dataloader", "val_dataloader"):
        dataset = innermost((cfg.get(split) or {}).get("dataset", {}))
        root, file = dataset.get("data_root") or "", dataset.get("ann_file")
        if file and not (path := Path(root) / file).is_file():
            raise LabError(
                f"the data set is missing: there is no {path}; 'crosskd-lab data coco' downloads "
                "COCO, --data names a folder of your own"
            )


def addresses(cfg: Config) -> list[str]:
    """Checkpoints that the first step needs and that are named by an address or a zoo's name."""

    def named(node: Any) -> Iterator[str]:
        if isinstance(node, Mapping):
            yield str(node.get("checkpoint"))
        if isinstance(node, (Mapping, list, tuple)):
            for part in node.values() if isinstance(node, Mapping) else node:
                yield from named(part)

    student = cfg.model.get("student", cfg.model)
    return sorted({name for name in (*named(student), str(cfg.get("load_from"))) if "://" in name})


def scales(cfg: Config, processes: int, gpus: int) -> bool:
    """Whether the rate follows the batch: among several processes, or on any GPU.

    A run of one CPU process is as its config says; so is one whose config names no base batch.
    """
    base = cfg.get("auto_scale_lr", {}).get("base_batch_size")
    return bool(base) and (processes > 1 or gpus > 0)


def scaled_rate(cfg: Config, processes: int, gpus: int = 0) -> tuple[int, float]:
    """Images a step over all ``processes``, and the rate at that batch (rule of auto_scale_lr)."""
    batch = int(cfg.train_dataloader.batch_size) * processes
    given = float(cfg.optim_wrapper.optimizer.lr)
    if not scales(cfg, processes, gpus):
        return batch, given
    return batch, given * batch / int(cfg.auto_scale_lr.base_batch_size)


def launch(config: str, dry_run: bool = False, **words: Any) -> Run | None:
    """Start an experiment in a process that belongs to no one: closing a notebook never ends it.

    All is checked first, and what was decided is printed. ``words`` are those of :func:`prepare`;
    ``dry_run`` starts nothing and returns None. LabError before anything has started.
    """
    plan, cfg = prepare(config, dry_run=dry_run, **words)
    print(describe(plan, cfg))
    if dry_run:
        return None
    for name in addresses(cfg):  # fetched now: the machines that train may be offline
        try:
            load_checkpoint(name, "cpu")
        except LabError as error:
            raise LabError(f"the run begins with {name}; {error}") from error
    if plan.slurm:
        executor(plan)  # refuses before anything is written
    with sole_writer(plan.folder, LAUNCH) as lock:  # one of two who launch at the same moment
        check_free(Path(plan.folder))
        plan.write()
        if plan.slurm:
            submit(plan)
        elif plan.nodes == 1:
            process.start(plan, lock)
    return Run(plan.folder)


def prepare(
    config: str,
    gpus: int = 0,
    processes: int | None = None,
    nodes: int = 1,
    settings: Mapping[str, Any] | None = None,
    data: str | Path | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    port: int | None = None,
    restarts: int = 2,
    slurm: str | None = None,
    ask: Mapping[str, Any] | None = None,
    dry_run: bool = False,
) -> tuple[LaunchPlan, Config]:
    """Check all that can be checked before a start; the plan, and the completed config.

    ``config`` is ``paper/...``, ``pocket/...`` or a file; ``gpus``, ``processes`` and ``nodes``
    count GPUs (0: the CPU) and processes a machine, and machines; ``settings`` are dotted keys,
    ``data`` a COCO-format folder instead of the config's, ``seed`` 0 by default or a run's own.
    Processes meet at a ``port``, found by itself, and are started again ``restarts`` times if one
    dies; they share the cores, or have as many threads each as ``OMP_NUM_THREADS`` says. ``slurm``
    is a partition, and ``ask`` its ``account``, ``qos``, ``mem``, ``time`` (minutes) and
    ``cpus_per_gpu``. With ``dry_run`` nothing will start on this machine, which may lack the GPUs.
    """
    if gpus < 0 or nodes < 1 or (processes is not None and processes < 1):
        raise LabError("--gpus must be at least 0, --nodes and --processes at least 1")
    if gpus and processes not in (None, gpus):
        raise LabError(f"one process a GPU: leave --processes out, or say --processes {gpus}")
    asked = {name: value for name, value in (ask or {}).items() if value is not None}
    if asked and not slurm:
        raise LabError(f"--{next(iter(asked)).replace('_', '-')} is SLURM's: say --slurm too")
    processes = processes or gpus or 1
    threads = asked.pop("cpus_per_gpu", CORES) if slurm else threads_each(processes)
    if not slurm and nodes == 1 and not dry_run:  # else nothing starts on this machine
        check_gpus(gpus, torch.cuda.device_count())
        if port:
            check_port(port)
    with quiet():  # of mmengine's warnings; a notebook would show them in red
        prepare_engine()
        cfg = load_experiment(config, dict(settings or {}), data, seed)
        check_data(cfg)
        student = build_detector(cfg.model.get("student", cfg.model))
        check_methods(cfg)
    seed = int(cfg.randomness.seed)
    stem = config.removesuffix(".py").strip("/").replace("/", "-")
    folder = Path(out or Path("runs") / f"{stem}-s{seed}")
    check_free(folder)
    if (folder / PLAN).exists():
        Run(folder).refuse_live(waiting=False)
    check_space(folder, sum(p.numel() for p in student.parameters()))
    plan = LaunchPlan(
        # whatever folder it is resumed from, and wherever the project was moved to
        config=kept_name(config),
        folder=str(folder),
        settings={key: _kept(key, value) for key, value in (settings or {}).items()},
        data=None if data is None else kept_path(data),
        seed=seed,
        gpus=gpus,
        processes=processes,
        nodes=nodes,
        port=port or (SystemRandom().randrange(20000, 30000) if nodes > 1 else None),
        meeting=uuid4().hex[:12],
        restarts=restarts,
        steps=int(cfg.train_cfg.get("max_iters", 0)),
        threads=threads,
        slurm={"partition": slurm, **asked} if slurm else {},
    )
    return plan, cfg


def _kept(key: str, value: Any) -> Any:
    """A setting as a plan keeps it."""
    if key not in PATHS or not isinstance(value, str):
        return value
    return kept_path(value) if key == "data.root" else kept_name(value)


def threads_each(processes: int) -> int:
    """Threads of each process: as ``OMP_NUM_THREADS`` says, or its share of the cores."""
    shared = max(1, usable_cores() // processes)
    return torch.get_num_threads() if "OMP_NUM_THREADS" in os.environ else shared


def check_methods(cfg: Config) -> None:
    """Refuse arguments that a method lacks; what only the run's own process finds is left to it."""
    for method in cfg.model.get("methods", ()):
        if get_object_from_string(method["type"]) is not None:
            build_method(method)


def check_free(folder: Path) -> None:
    """Raise LabError where a run is in a folder already, or another process writes into it."""
    if (folder / RECORD).exists():
        raise LabError(
            f"{folder} holds a run already: 'crosskd-lab runs --resume {folder}' goes on with it, "
            "or choose another --out"
        )
    if who := holder(folder):
        raise LabError(f"{folder} is being written by {who}: choose another --out")


def describe(plan: LaunchPlan, cfg: Config) -> str:
    """What a launch has decided, in a few lines."""
    count = plan.processes * plan.nodes
    batch, rate = scaled_rate(cfg, count, plan.gpus)
    given = float(cfg.optim_wrapper.optimizer.lr)
    each = int(cfg.train_dataloader.batch_size)
    where = f"{plan.gpus} GPUs" if plan.gpus else f"{plan.processes} CPU processes"
    scaled = "" if rate == given else f", scaled from {given:g} with the batch"
    lines = [
        f"run       {plan.folder}",
        f"machines  {plan.nodes} with {where} each, {plan.threads} threads a process",
        f"batch     {count} x {each} = {batch} images a step",
        f"rate      {rate:g}{scaled}",
        *(f"weights   {name}, fetched before the start" for name in addresses(cfg)),
        slurm_words(plan) if plan.slurm else f"command   {plan.line()}",
    ]
    if plan.nodes > 1 and not plan.slurm:
        lines += [
            f"start it  by hand, on each of the {plan.nodes} machines: in this folder, which all "
            "of them share, with HEAD_NODE=<name of the first>.",
            "          Nothing is started from here; --slurm PARTITION lets a cluster do it.",
        ]
    return "\n".join(lines)
