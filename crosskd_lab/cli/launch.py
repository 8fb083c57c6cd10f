"""``crosskd-lab launch``: start a run that outlives the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Data, RunFolder, Settings, Tensorboard, parse_settings


def launch(
    recipe: Annotated[str, typer.Argument(help="pocket/..., paper/... or a config file.")],
    gpus: Annotated[int, typer.Option(help="GPUs a machine; 0 trains on the CPU.")] = 0,
    processes: Annotated[
        int | None, typer.Option(help="Processes a machine; one a GPU, one on the CPU.")
    ] = None,
    nodes: Annotated[int, typer.Option(help="Machines.")] = 1,
    slurm: Annotated[
        str | None, typer.Option(metavar="PARTITION", help="Let SLURM start it there.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="SLURM's.")] = None,
    qos: Annotated[str | None, typer.Option(help="SLURM's.")] = None,
    time: Annotated[
        str | None, typer.Option(help="SLURM's, until a job is requeued: 12:00:00, 2-12 ...")
    ] = None,
    mem: Annotated[str | None, typer.Option(help="SLURM's, a machine: 64G ...")] = None,
    cpus_per_gpu: Annotated[
        int | None, typer.Option(min=1, help="SLURM's, and threads of a process; 8 by default.")
    ] = None,
    settings: Settings = None,
    data: Data = None,
    out: RunFolder = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.")] = 0,
    port: Annotated[int | None, typer.Option(help="Where processes meet; found by itself.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the command, start nothing.")
    ] = False,
    tensorboard: Tensorboard = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the run is over, as a batch job does.")
    ] = False,
) -> None:
    """Check a recipe, start it in a process of its own, and return at once.

    The run belongs to no terminal: watch it with 'crosskd-lab runs --tail FOLDER', end it with
    'runs --stop', go on with 'runs --resume', from here or from a notebook (Run.open).
    """
    from ..errors import LabError
    from ..runs.launch import launch as start

    run = start(
        recipe,
        gpus=gpus,
        processes=processes,
        nodes=nodes,
        slurm=slurm,
        settings=parse_settings(settings, tensorboard),
        data=data,
        out=out,
        seed=seed,
        port=port,
        dry_run=dry_run,
        ask=dict(account=account, qos=qos, time=time, mem=mem, cpus_per_gpu=cpus_per_gpu),
    )
    if run is None or run.status == "waiting":  # for someone to start it on each machine
        return
    print(f"started   crosskd-lab runs --tail {run.folder}")
    try:
        ended = run.wait() if wait else "done"
    except KeyboardInterrupt:
        print(f"\n{run.folder} trains on: 'crosskd-lab runs --stop {run.folder}' stops it")
        raise
    if ended != "done":
        raise LabError(f"{run.folder} is {run.status}: {run.reason or run.tail(3)}")
