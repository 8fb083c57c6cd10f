"""``crosskd-lab plan``: hours, memory and cost on more GPUs than are here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .show import Wide, print_table

if TYPE_CHECKING:
    from ..runs.measurement import Measurement
    from ..runs.scaling import Link

GIGA, GIB = 1e9, 2**30
# Column of the plan, its title, and how a cell is written; None: as many digits as say something.
SHOWN: dict[str, tuple[str, str | None]] = {
    "gpus": ("GPUs", "{:.0f}"),
    "images": ("images\na step", "{:.0f}"),
    "rate": ("rate", "{:.3g}"),
    "steps": ("steps", "{:,.0f}"),
    "seconds": ("s\na step", "{:.3f}"),
    "hours": ("hours", None),
    "gpu_hours": ("GPU-\nhours", None),
    "efficiency": ("effi-\nciency", "{:.0%}"),
    "memory": ("GiB\na GPU", "{:.1f}"),
    "cost": ("cost", None),
}


def plan(
    recipe: Annotated[str, typer.Argument(help="paper/..., pocket/... or a config file.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace an entry.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="A COCO-format folder.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Measure so many steps, even if it has been done before.")
    ] = None,
    step_ms: Annotated[
        float | None, typer.Option(help="A step's milliseconds, measured elsewhere.")
    ] = None,
    measured: Annotated[
        Path | None, typer.Option(help="A measurement's file, from another machine.")
    ] = None,
    price: Annotated[float | None, typer.Option(help="Of one GPU for an hour.")] = None,
    bandwidth: Annotated[
        float, typer.Option(help="Between GPUs of a machine, GB/s each way.")
    ] = 20.0,
    between: Annotated[float, typer.Option(help="Between machines, GB/s each way.")] = 5.0,
    latency: Annotated[float, typer.Option(help="Of a bucket of gradients, ms.")] = 0.1,
    overlap: Annotated[
        float, typer.Option(help="Share of communication that the backward hides.")
    ] = 0.5,
    machine: Annotated[int, typer.Option(help="GPUs a machine.")] = 8,
    csv: Annotated[Path | None, typer.Option(help="Also write the plan to this file.")] = None,
    wide: Wide = False,
    figure: Annotated[Path | None, typer.Option(help="Draw it: .png, and .svg beside.")] = None,
) -> None:
    """Foretell a recipe on 1 to 64 GPUs from one step, measured here, and a stated model.

    The first time, the step is measured on this machine's device, with random weights and images
    made in memory, and kept; nothing is downloaded. docs/plan.md says what is assumed.
    """
    from ..files import write_whole
    from ..runs.scaling import Link, outlook
    from .train import parse_settings

    link = Link(GIGA * bandwidth, GIGA * between, latency / 1000, overlap, machine)
    changed = parse_settings(settings or [])
    step = _step(recipe, changed, data, steps, step_ms, measured)
    frame = outlook(step, link, price)
    shown = [name for name in SHOWN if name in frame and frame[name].notna().any()]
    rows = [{name: _cell(name, row[name]) for name in shown} for row in frame.to_dict("records")]
    print(f"{step.recipe}: {tell_step(step)}")
    if step.steps and measured is None:
        print("This is kept in data/cache/steps; --steps 5 measures again.")
    print()
    print_table(rows, {name: SHOWN[name][0] for name in shown}, shown, (), wide)
    print("\n" + tell_terms(step, link))
    if csv is not None:
        write_whole(csv, frame.to_csv(index=False))
        print(f"wrote {csv}")
    if figure is not None:
        from ..report.evidence_figures import scaling_figure
        from ..report.figures import save

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
    from ..runs.measurement import Measurement

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


def _cell(name: str, value: float) -> str:
    form = SHOWN[name][1] or ("{:,.0f}" if value >= 100 else "{:.2f}")
    return form.format(value / GIB if name == "memory" else value)


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
