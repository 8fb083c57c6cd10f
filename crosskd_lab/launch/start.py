"""From a recipe to a process that trains it: check, decide, say so, start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..errors import LabError
from ..files import LAUNCH, holder, sole_writer
from ..pair import build_detector
from ..record import RECORD
from . import checks, process
from .plan import PLAN, LaunchPlan
from .run import Run
from .slurm import CORES, OWN, executor, submit
from .slurm import describe as slurm_words


def launch(
    config: str,
    gpus: int = 0,
    processes: int | None = None,
    nodes: int = 1,
    slurm: str | None = None,
    settings: Mapping[str, Any] | None = None,
    data: str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    port: int | None = None,
    restarts: int = 2,
    dry_run: bool = False,
    ask: Mapping[str, Any] | None = None,
) -> Run | None:
    """Start an experiment in a process that belongs to no one: closing a notebook never ends it.

    Everything that can be known beforehand is checked first, and what was decided is printed:
    the batch, the learning rate at that batch, and the command.

    Args:
        config: ``paper/...``, ``pocket/...`` or a file.
        gpus: GPUs a machine; 0 trains on the CPU.
        processes: Processes a machine; one a GPU by default, one on the CPU.
        nodes: Machines.
        slurm: A partition, to let SLURM start it there.
        settings: Dotted keys and values that replace the config's.
        data: COCO-format folder instead of the config's.
        out: The run's folder; ``runs/<config>-s<seed>`` by default.
        seed: Of weights, order and augmentation.
        port: Where processes meet; free ones are found by themselves on one machine.
        restarts: How often processes are started again if one of them dies.
        dry_run: Check and print, start nothing.
        ask: More of SLURM, in its words: ``account``, ``qos``, ``time``, ``mem``,
            ``cpus_per_gpu``.

    Returns:
        The run; None for a dry run.

    Raises:
        LabError: one line with the remedy, before anything has started.
    """
    plan = prepare(
        *(
            config,
            gpus,
            processes,
            nodes,
            settings,
            data,
            out,
            seed,
            port,
            restarts,
            slurm,
            ask,
            dry_run,
        )
    )
    print(describe(plan))
    if dry_run:
        return None
    checks.check_weights(plan.weights)
    if slurm:
        executor(plan)  # refuses before anything is written
    with sole_writer(plan.folder, LAUNCH) as lock:  # one of two who launch at the same moment
        check_free(Path(plan.folder))
        plan.write()
        if slurm:
            submit(plan)
        elif nodes == 1:
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
    seed: int = 0,
    port: int | None = None,
    restarts: int = 2,
    slurm: str | None = None,
    ask: Mapping[str, Any] | None = None,
    dry_run: bool = False,
) -> LaunchPlan:
    """Check all that can be checked before a start; see :func:`launch`."""
    import torch

    from ..experiment import load_experiment
    from ..training import prepare_engine
    from ..training.boards import boards
    from ..training.run import quiet

    stem = config.removesuffix(".py").strip("/").replace("/", "-")
    folder = Path(out or Path("runs") / f"{stem}-s{seed}")
    check_free(folder)
    if (folder / PLAN).exists():
        Run(folder).refuse_live(waiting=False)
    if gpus < 0 or nodes < 1 or (processes is not None and processes < 1):
        raise LabError("--gpus must be at least 0, --nodes and --processes at least 1")
    if gpus and processes not in (None, gpus):
        raise LabError(f"one process a GPU: leave --processes out, or say --processes {gpus}")
    asked = slurm_asked(slurm, ask or {})
    if not slurm and nodes == 1 and not dry_run:  # else nothing starts on this machine
        checks.check_gpus(gpus, torch.cuda.device_count())
    if port is not None:
        checks.check_port(port)
    with quiet():  # of mmengine's warnings; a notebook would show them in red
        prepare_engine()
        cfg = load_experiment(config, dict(settings or {}), data, seed)
        checks.check_data(cfg)
        boards(cfg)
        student = build_detector(cfg.model.get("student", cfg.model))
    checks.check_space(folder, sum(p.numel() for p in student.parameters()))
    return LaunchPlan(
        config=config,
        folder=str(folder),
        settings=dict(settings or {}),
        data=None if data is None else str(data),
        seed=seed,
        gpus=gpus,
        processes=processes or gpus or 1,
        nodes=nodes,
        port=checks.free_port() if port is None and nodes > 1 else port,
        meeting=uuid4().hex[:12],
        restarts=restarts,
        steps=int(cfg.train_cfg.get("max_iters", 0)),
        threads=asked.pop("cores", max(1, (os.cpu_count() or 1) // (processes or gpus or 1))),
        weights=checks.addresses(cfg),
        slurm=asked,
    )


def slurm_asked(partition: str | None, ask: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan says of SLURM, and ``cores`` of a task; empty without a partition."""
    given = {name: value for name, value in ask.items() if value is not None}
    if not partition:
        if given:
            raise LabError(f"--{next(iter(given)).replace('_', '-')} is SLURM's: say --slurm too")
        return {}
    if unknown := given.keys() - {*OWN, "time", "cpus_per_gpu"}:
        raise LabError(f"SLURM is not asked for {', '.join(sorted(unknown))} from here")
    cores = int(given.pop("cpus_per_gpu", CORES))
    if cores < 1:
        raise LabError(f"--cpus-per-gpu {cores}: say 1 or more")
    if "time" in given:
        given["minutes"] = checks.minutes(str(given.pop("time")))
    return {"partition": partition, **given, "cores": cores}


def check_free(folder: Path) -> None:
    """Raise LabError where a run is in a folder already, or another process writes into it."""
    if (folder / RECORD).exists():
        raise LabError(
            f"{folder} holds a run already: 'crosskd-lab runs --resume {folder}' goes on with it, "
            "or choose another --out"
        )
    if who := holder(folder):
        raise LabError(f"{folder} is being written by {who}: choose another --out")


def describe(plan: LaunchPlan) -> str:
    """What a launch has decided, in a few lines."""
    from ..experiment import load_experiment
    from ..training.run import quiet

    with quiet():
        cfg = load_experiment(plan.config, plan.settings, plan.data, plan.seed)
    count = plan.processes * plan.nodes
    batch, rate = checks.rate(cfg, count, plan.gpus)
    given = float(cfg.optim_wrapper.optimizer.lr)
    each = int(cfg.train_dataloader.batch_size)
    where = f"{plan.gpus} GPUs" if plan.gpus else f"{plan.processes} CPU processes"
    scaled = "" if rate == given else f", scaled from {given:g} with the batch"
    begins = [f"weights   {name}, fetched before the start" for name in plan.weights]
    return "\n".join(
        (
            f"run       {plan.folder}",
            f"machines  {plan.nodes} with {where} each, {plan.threads} threads a process",
            f"batch     {count} x {each} = {batch} images a step",
            f"rate      {rate:g}{scaled}",
            *begins,
            slurm_words(plan) if plan.slurm else _command(plan),
        )
    )


def _command(plan: LaunchPlan) -> str:
    words = f"command   {' '.join(plan.command('python'))}"
    if plan.nodes == 1:
        return words
    return (
        f"{words}\n"
        f"start it  by hand, on each of the {plan.nodes} machines: in this folder, which all of "
        "them share, with HEAD_NODE=<name of the first>.\n"
        "          Nothing is started from here; --slurm PARTITION lets a cluster do it."
    )
