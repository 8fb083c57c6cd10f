"""``recipes``, ``plan`` and ``launch``: the paper's rows on more than this machine has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from .options import Csv, Data, RunFolder, Settings, Tensorboard, Wide, parse_settings
from .show import print_table, write_csv

if TYPE_CHECKING:
    from ..runs.forecast import Link, Measurement


RECIPE_COLUMNS = {
    **{name: name for name in ("recipe", "teacher", "student", "method")},
    "AP": "paper's\nAP",
    "epochs": "epochs",
    "images": "images\na step",
    "gpu_hours": "GPU-\nhours",
    "teacher_here": "teacher\nhere",
}


def recipes(
    table: Annotated[int | None, Option(help="Only this table of the paper, 1 to 8.")] = None,
    csv: Csv = None,
    wide: Wide = False,
) -> None:
    """List the paper's recipes: what each re-makes, what the paper reports, what is still missing.

    Start one with 'crosskd-lab launch RECIPE --gpus 8 --data COCO'. The paper says eight GPUs with
    two images each; the rate follows the batch. GPU-hours are estimated from a step that
    'crosskd-lab plan RECIPE' has measured on a GPU, and not guessed where it has not.
    """
    from ..errors import LabError
    from ..runs.forecast import newest, paper_gpu_hours
    from ..runs.recipes import recipes as listed

    frame = listed()
    steps = [newest(name) for name in frame["recipe"]]
    pairs = zip(steps, frame["images"], strict=True)
    hours = [paper_gpu_hours(step, images) if step else float("nan") for step, images in pairs]
    frame = frame.assign(gpu_hours=hours, measured_on=[step and step.device for step in steps])
    if table is not None:
        frame = frame[frame["table"] == table]
        if frame.empty:
            raise LabError(f"no recipe belongs to table {table}: the paper has Tables 1 to 8")
    drop = ("images", "epochs", "gpu_hours", "student", "teacher")
    print_table(frame.to_dict("records"), RECIPE_COLUMNS, drop, wide)
    if devices := ", ".join(sorted(set(frame["measured_on"].dropna()))):
        print(f"GPU-hours: predicted from one step on {devices}; see docs/plan.md.")
    if frame["gpu_hours"].isna().any():
        print("GPU-hours –: no step measured on a GPU yet; 'crosskd-lab plan RECIPE' does.")
    write_csv(frame, csv)


GIGA = 1e9
# Column of the plan, its title, and how a number is written.
PLAN_COLUMNS = {
    "gpus": ("GPUs", "{:.0f}".format),
    "images": ("images\na step", "{:.0f}".format),
    "rate": ("rate", "{:.3g}".format),
    "steps": ("steps", "{:,.0f}".format),
    "seconds": ("s\na step", "{:.3f}".format),
    "hours": ("hours", lambda value: _short(value)),
    "gpu_hours": ("GPU-\nhours", lambda value: _short(value)),
    "efficiency": ("effi-\nciency", "{:.0%}".format),
    "memory": ("GiB\na GPU", lambda value: f"{value / 2**30:.1f}"),
    "cost": ("cost", lambda value: _short(value)),
}


def plan(
    recipe: Annotated[str, Argument(help="paper/..., pocket/... or a config file.")],
    settings: Settings = None,
    data: Data = None,
    steps: Annotated[
        int | None, Option(help="Measure so many steps, even if it has been done before.")
    ] = None,
    step_ms: Annotated[
        float | None, Option(help="A step's milliseconds, measured elsewhere.")
    ] = None,
    measured: Annotated[
        Path | None, Option(help="A measurement's file, from another machine.")
    ] = None,
    price: Annotated[float | None, Option(help="Of one GPU for an hour.")] = None,
    bandwidth: Annotated[float, Option(help="Between GPUs of a machine, GB/s each way.")] = 20.0,
    between: Annotated[float, Option(help="Between machines, GB/s each way.")] = 5.0,
    latency: Annotated[float, Option(help="Of a bucket of gradients, ms.")] = 0.1,
    overlap: Annotated[float, Option(help="Share of communication that the backward hides.")] = 0.5,
    machine: Annotated[int, Option(help="GPUs a machine.")] = 8,
    csv: Annotated[Path | None, Option(help="Also write the plan to this file.")] = None,
    wide: Wide = False,
    figure: Annotated[Path | None, Option(help="Draw it: .png, and .svg beside.")] = None,
) -> None:
    """Predict a recipe on 1 to 64 GPUs from one step, measured here, and a stated model.

    The first time, the step is measured on this machine's device, with random weights and images
    made in memory, and kept; nothing is downloaded. docs/plan.md says what is assumed.
    """
    from ..runs.forecast import Link, outlook

    link = Link(GIGA * bandwidth, GIGA * between, latency / 1000, overlap, machine)
    step = _step(recipe, parse_settings(settings), data, steps, step_ms, measured)
    frame = outlook(step, link, price)
    known = frame.columns[frame.notna().any()]
    shown = {name: how for name, how in PLAN_COLUMNS.items() if name in known}
    titles, forms = ({name: pair[at] for name, pair in shown.items()} for at in (0, 1))
    print(f"{step.recipe}: {tell_step(step)}")
    if step.steps and measured is None:
        print("This is kept in data/cache/steps; --steps 5 measures again.")
    print()
    print_table(frame.to_dict("records"), titles, wide=wide, forms=forms)  # type: ignore[arg-type]
    print("\n" + tell_terms(step, link))
    write_csv(frame, csv)
    if figure is not None:
        from ..report.figures import save, scaling_figure

        written = save(scaling_figure(frame, title=f"{step.recipe}: hours to plan with"), figure)
        print(f"wrote {', '.join(map(str, written))}")


def _step(
    recipe: str,
    settings: dict[str, Any],
    data: Path | None,
    steps: int | None,
    step_ms: float | None,
    measured: Path | None,
) -> Measurement:
    """The file's, the given one, the one that is kept, or a new one."""
    from ..errors import LabError
    from ..runs.forecast import Measurement

    if sum(given is not None for given in (steps, step_ms, measured)) > 1:
        raise LabError("choose one of --steps (measure), --step-ms (given) and --measured (a file)")
    if measured is not None:
        step = Measurement.read(measured)
        if step.recipe != recipe or step.settings != settings:
            raise LabError(
                f"{measured} measured {step.recipe} with {step.settings or 'no --set'}: plan that "
                "one, or measure this one"
            )
        return step
    from ..runs.step_cost import measure, step_of

    if step_ms is not None:
        return measure(recipe, settings, data, given=step_ms / 1000)
    return step_of(recipe, settings, data, steps)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def tell_step(step: Measurement) -> str:
    """Where the step's time comes from, in a sentence."""
    height, width = step.size
    images = f"{_count(step.work.batch, 'image')} of {width} x {height}"
    if not step.steps:
        return f"{_time(step.step)} for {images}, as given"
    backward = "" if step.backward is None else f", {_time(step.backward)} of it backward"
    threads = "" if step.gpu else f" ({_count(step.threads, 'thread')})"
    return (
        f"{_time(step.step)} for {images}{backward}; median of {_count(step.steps, 'step')} on "
        f"{step.device}{threads}, torch {step.torch}, {step.date[:10]}"
    )


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' * (number != 1)}"


def tell_terms(step: Measurement, link: Link) -> str:
    """What the plan takes for granted, in a few lines."""
    lines = [
        f"Assumed: {step.gradient / 1e6:.0f} MB of gradients round a ring at "
        f"{link.bandwidth / GIGA:g} GB/s in a machine of {link.machine} and "
        f"{link.slowest(link.machine + 1) / GIGA:g} GB/s between machines, "
        f"{1000 * link.latency:g} ms a bucket,",
        f"{link.overlap:.0%} of it hidden by the backward. Not in it: loading images, validations,"
        " checkpoints. See docs/plan.md.",
    ]
    if step.work.steps:
        lines.append("This recipe counts steps: more GPUs see more images, in no less time.")
    if step.memory_is == "kept":
        lines.append("Memory is counted on a CPU, and less than a GPU will need.")
    if not step.gpu:
        lines.append("Measured on a CPU: read 'GPUs' as so many of it.")
    return "\n".join(lines)


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
        str | None, Option(help="SLURM's, until a job is requeued: 12:00:00, 2-12 ...")
    ] = None,
    mem: Annotated[str | None, Option(help="SLURM's, a machine: 64G ...")] = None,
    cpus_per_gpu: Annotated[
        int | None, Option(min=1, help="SLURM's, and threads of a process; 8 by default.")
    ] = None,
    settings: Settings = None,
    data: Data = None,
    out: RunFolder = None,
    seed: Annotated[int, Option(min=0, help="Of weights, order and augmentation.")] = 0,
    port: Annotated[int | None, Option(help="Where processes meet; found by itself.")] = None,
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
