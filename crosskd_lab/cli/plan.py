"""``crosskd-lab plan``: hours, memory and cost on more GPUs than are here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Data, Settings, Wide, parse_settings
from .show import print_table, write_csv

if TYPE_CHECKING:
    from ..runs.forecast import Link, Measurement

GIGA = 1e9
# Column of the plan, its title, and how a number is written.
SHOWN = {
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
    recipe: Annotated[str, typer.Argument(help="paper/..., pocket/... or a config file.")],
    settings: Settings = None,
    data: Data = None,
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
    from ..runs.forecast import Link, outlook

    link = Link(GIGA * bandwidth, GIGA * between, latency / 1000, overlap, machine)
    step = _step(recipe, parse_settings(settings), data, steps, step_ms, measured)
    frame = outlook(step, link, price)
    shown = {name: SHOWN[name] for name in SHOWN if name in frame and frame[name].notna().any()}
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
