"""``recipes``, ``plan`` and ``launch``: the paper's rows on more than this machine has."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Option

from .options import Csv, Data, RunFolder, Settings, Tensorboard, Wide, parse_settings
from .show import print_table, write_csv

RECIPE_COLUMNS = {
    **{name: name for name in ("recipe", "teacher", "student", "method")},
    "AP": "paper's\nAP",
    "epochs": "epochs",
    "images": "images\na step",
    "teacher_here": "teacher\nhere",
}


def recipes(
    table: Annotated[int | None, Option(help="Only this table of the paper, 1 to 8.")] = None,
    csv: Csv = None,
    wide: Wide = False,
) -> None:
    """List the paper's recipes: what each re-makes, what the paper reports, what is still missing.

    Start one with 'crosskd-lab launch RECIPE --gpus 8 --data COCO'. The paper says eight GPUs with
    two images each; the rate follows the batch. 'crosskd-lab plan RECIPE' predicts the hours.
    """
    from ..errors import LabError
    from ..runs.recipes import recipes as listed

    frame = listed()
    if table is not None:
        frame = frame[frame["table"] == table]
        if frame.empty:
            raise LabError(f"no recipe belongs to table {table}: the paper has Tables 1 to 8")
    drop = ("images", "epochs", "student", "teacher")
    print_table(frame.to_dict("records"), RECIPE_COLUMNS, drop, wide)
    write_csv(frame, csv)


# Column of the plan, its title, and how a number is written.
PLAN_COLUMNS = {
    "gpus": ("GPUs", "{:.0f}".format),
    "images": ("images\na step", "{:.0f}".format),
    "rate": ("rate", "{:.3g}".format),
    "steps": ("steps", "{:,.0f}".format),
    "seconds": ("s\na step", "{:.3f}".format),
    "hours": ("hours", "{:,.2f}".format),
    "gpu_hours": ("GPU-\nhours", "{:,.2f}".format),
    "efficiency": ("effi-\nciency", "{:.0%}".format),
    "memory": ("GiB\na GPU", lambda value: f"{value / 2**30:.1f}"),
    "cost": ("cost", "{:,.2f}".format),
}


def plan(
    recipe: Annotated[str, Argument(help="paper/..., pocket/... or a config file.")],
    settings: Settings = None,
    data: Data = None,
    steps: Annotated[int, Option(min=1, help="Steps to measure.")] = 5,
    price: Annotated[float | None, Option(min=0, help="Of one GPU for an hour.")] = None,
    bandwidth: Annotated[
        float | None,
        Option(
            min=0.001,
            help="Of the slowest link between GPUs, GB/s each way.",
            show_default="20 in a machine of eight, 5 between machines",
        ),
    ] = None,
    csv: Csv = None,
    wide: Wide = False,
) -> None:
    """Predict a recipe on 1 to 64 GPUs from one step, measured here, and a stated model.

    The step is measured on this machine's device, with random weights and images made in memory;
    nothing is downloaded. docs/plan.md says what is assumed.
    """
    from ..runs import forecast

    step = forecast.measure(recipe, parse_settings(settings), data, steps)
    frame = forecast.outlook(step, bandwidth and 1e9 * bandwidth, price)
    known = frame.columns[frame.notna().any()]
    shown = {name: how for name, how in PLAN_COLUMNS.items() if name in known}
    titles, forms = ({name: pair[at] for name, pair in shown.items()} for at in (0, 1))
    height, width = step.size
    print(
        f"{recipe}: {1000 * step.step:.0f} ms a step of {step.work.batch} x {height} x {width} "
        f"pixels, {1000 * step.backward:.0f} of them backward; median of {steps} on {step.device}\n"
    )
    print_table(frame.to_dict("records"), titles, wide=wide, forms=forms)  # type: ignore[arg-type]
    print(
        f"\nAssumed: {step.gradient / 1e6:.0f} MB of gradients round a ring, "
        f"{forecast.OVERLAP:.0%} of it hidden by the backward; no time\nfor loading images, "
        "validations and checkpoints. See docs/plan.md."
    )
    if step.work.steps:
        print("This recipe counts steps: more GPUs see more images, in no less time.")
    if step.memory is None:
        print("Measured on a CPU: read 'GPUs' as so many of it.")
    write_csv(frame, csv)


def launch(
    recipe: Annotated[str, Argument(help="pocket/..., paper/... or a config file.")],
    gpus: Annotated[int, Option(help="GPUs a machine; 0 trains on the CPU.")] = 0,
    processes: Annotated[
        int | None, Option(help="Processes a machine; one a GPU, one on the CPU.")
    ] = None,
    nodes: Annotated[int, Option(help="Machines.")] = 1,
    slurm: Annotated[
        str | None, Option(metavar="PARTITION", help="Let SLURM start it there.")
    ] = None,
    account: Annotated[str | None, Option(help="SLURM's.")] = None,
    qos: Annotated[str | None, Option(help="SLURM's.")] = None,
    time: Annotated[
        int | None, Option(min=1, help="SLURM's, in minutes, until a job is requeued.")
    ] = None,
    mem: Annotated[str | None, Option(help="SLURM's, a machine: 64G ...")] = None,
    cpus_per_gpu: Annotated[
        int | None, Option(min=1, help="SLURM's, and threads of a process; 8 by default.")
    ] = None,
    settings: Settings = None,
    data: Data = None,
    out: RunFolder = None,
    seed: Annotated[
        int | None, Option(min=0, help="Of weights, order and augmentation; 0, or a run's own.")
    ] = None,
    port: Annotated[
        int | None, Option(min=1, max=65535, help="Where processes meet; found by itself.")
    ] = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Check everything, print the command, start nothing.")
    ] = False,
    tensorboard: Tensorboard = False,
    wait: Annotated[
        bool, Option("--wait", help="Stay until the run is over, as a batch job does.")
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
