"""``train``, ``pretrain``, ``race``, ``sweep`` and ``runs``: students trained here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.text import Text
from typer import Argument, Option

from ..configs import listed, teachers
from ..engine.record import RECORD
from ..files import plain_name
from ..runs.recipes import detectors
from ..runs.recipes import methods as known_methods
from .options import Csv, Data, RunFolder, Settings, SkipBad, Tensorboard, Wide, parse_settings
from .show import print_table, write_csv


def train(
    config: Annotated[str, Argument(help="A config file or a name such as pocket/crosskd.")],
    settings: Settings = None,
    data: Data = None,
    out: RunFolder = None,
    seed: Annotated[
        int | None, Option(help="Of weights, order and augmentation; 0, or that of a run's config.")
    ] = None,
    resume: Annotated[bool, Option("--resume", help="Go on from the last checkpoint.")] = False,
    skip_bad: SkipBad = False,
    precision: Annotated[
        str | None, Option(help="fp32; or bf16, with float32 weights and losses, for a GPU.")
    ] = None,
    tensorboard: Tensorboard = False,
) -> None:
    """Train a detector, alone or with a teacher; Ctrl-C and --resume lose nothing but the step."""
    from ..engine.config import load_experiment
    from ..engine.hooks import steps_done
    from ..engine.train import StepBar
    from ..engine.train import train as run

    given = parse_settings(settings, tensorboard)
    given |= {} if precision is None else {"precision": precision}
    cfg = load_experiment(config, given, data, seed, skip_bad)
    stem = config.removesuffix(".py").strip("/").replace("/", "-")
    folder = out or Path("runs") / f"{stem}-s{cfg.randomness.seed}"
    begun = steps_done(folder) if resume else 0
    bar = StepBar(cfg.train_cfg.get("max_iters", 0), folder.name, begun)
    try:
        results = run(cfg, folder, resume, ["crosskd-lab", *sys.argv[1:]], [bar])
    except KeyboardInterrupt:
        if (folder / RECORD).exists():  # it had begun
            again = "the same command with --resume goes on with"
            print(f"\nstopped; {again} {folder}", file=sys.stderr)
        raise
    finally:
        bar.close()
    shown = ", ".join(f"{k} {v:.1f}" for k, v in results.items() if k.startswith("AP"))
    print(f"{folder}: {shown or 'done; AP was not measured'}")


def pretrain(
    config: Annotated[str, Argument(help="Detector config whose backbone to pretrain.")],
    out: Annotated[Path, Option(help="The .safetensors file to write.")],
    count: Annotated[int, Option(min=1, help="Crops to train on.")] = 12000,
    epochs: Annotated[int, Option(min=1, help="Passes over the crops.")] = 6,
    seed: Annotated[int, Option(min=0, help="Seed of weights, order and crops.")] = 0,
) -> None:
    """Pretrain a backbone by naming single shapes, the pocket scale's stand-in for ImageNet."""
    from ..engine.pretrain import pretrain as run
    from ..engine.train import prepare_engine

    prepare_engine()
    command = ["crosskd-lab", *sys.argv[1:]]
    accuracy = run(config, out, count=count, epochs=epochs, seed=seed, command=command)
    print(f"{out}: {accuracy:.1f} % of held-out single shapes named right")


def race(
    steps: Annotated[int, Option(min=3, help="Training steps of each student.")] = 90,
    seeds: Annotated[int, Option(min=1, help="Seeds; above 1 gives intervals.")] = 1,
    methods: Annotated[
        str, Option(help=f"Comma-separated, any of: {listed(known_methods())}; or all.")
    ] = "none,kd,crosskd,crosskd_pkd",
    teacher: Annotated[
        str,
        Option(
            help=f"Any of the shipped teachers: {listed(teachers())}; the folder of a run; or "
            "random:NAME, an untrained detector."
        ),
    ] = "gfl_r18_w32",
    student: Annotated[
        str, Option(help=f"Any of: {listed(detectors())}; or the path of a config.")
    ] = "gfl_r18_w16",
    data: Annotated[
        Path | None, Option(help="A COCO-format folder; synthetic scenes by default.")
    ] = None,
    out: Annotated[Path, Option(help="The race's folder; resumes what is there.")] = Path(
        "runs/race"
    ),
    settings: Settings = None,
) -> None:
    """Train none / KD / CrossKD / CrossKD+PKD students from one teacher and compare them.

    Student and teacher may be of different kinds. CrossKD delivers, and weighs its terms, as the
    teacher's head asks.
    """
    from ..runs.race import check_methods, check_settings, find_student, find_teacher, run_race

    names = method_names(methods)
    own = parse_settings(settings)
    check_methods(names)
    check_settings(own)
    find_student(student)
    find_teacher(teacher, own.get("teacher.config"))
    console = Console()
    board = Board(console, names, steps, seeds)
    console.print(
        f"Students to train: {len(names) * seeds} of {plain_name(student)}, {steps} steps each, "
        f"all from one start; teacher {plain_name(teacher)}. Runs go to {out}.",
        highlight=False,
        markup=False,
    )
    with board:
        result = run_race(out, steps, seeds, names, data, teacher, student, own, board.hear)
    console.print(Text(result.paragraph))
    said = f"\nFigure: {out / 'race.png'} (also .svg); numbers: {out / 'race.csv'}"
    console.print(said, markup=False)


def method_names(text: str) -> list[str]:
    """The methods of a comma-separated list; ``all`` are those that have a config, none first."""
    if text.strip() == "all":
        return sorted(known_methods(), key=lambda name: (name != "none", name))
    return [name.strip() for name in text.split(",") if name.strip()]


class Board(Progress):
    """A row a student, refreshed as rows of metrics arrive.

    Where the output is no terminal, a line a validation is printed, and the rows at the end.
    """

    NUMBERS = {"loss": ("loss", 2), "AP": ("AP", 1)}
    NUMBERS |= {"l1_teacher": ("L1 teacher", 2), "l1_truth": ("truth", 2)}
    """Title and digits of each number of a row of metrics."""

    def __init__(self, console: Console, methods: list[str], steps: int, seeds: int) -> None:
        texts = [f"{title} {{task.fields[{key}]}}" for key, (title, _) in self.NUMBERS.items()]
        first, last = ("{task.description}", MofNCompleteColumn()), TimeRemainingColumn()
        super().__init__(*first, *texts, last, console=console, refresh_per_second=2)
        unknown: dict[str, Any] = dict.fromkeys(self.NUMBERS, "–")
        names = [f"{method}-s{seed}" for seed in range(seeds) for method in methods]
        self.students = {name: self.add_task(name, total=steps, **unknown) for name in names}

    def hear(self, method: str, seed: int, row: dict[str, Any]) -> None:
        """Take a row of metrics in."""
        name = f"{method}-s{seed}"
        known = [key for key in self.NUMBERS if row.get(key) is not None]
        new: dict[str, Any] = {key: f"{row[key]:.{self.NUMBERS[key][1]}f}" for key in known}
        self.update(self.students[name], completed=row["step"], **new)
        if row["kind"] == "val" and not self.console.is_terminal:
            print(f"{name:<16} step {row['step']:>5}  AP {new.get('AP', '–')}", flush=True)


def sweep(
    file: Annotated[str, Argument(help="A name below configs/sweeps, or a file like those.")],
    only: Annotated[list[str] | None, Option(help="Only this row; may be given again.")] = None,
    seeds: Annotated[str, Option(help="Comma-separated; the sweep's own by default.")] = "",
    side_by_side: Annotated[
        int, Option(min=1, help="Runs at a time, each in a process: for a GPU.")
    ] = 1,
    recorded: Annotated[
        Path | None, Option(help="Folder of the records; data/recorded by default.")
    ] = None,
    check: Annotated[
        bool, Option("--check", help="Only the first steps: does today's code repeat them?")
    ] = False,
    runs: Annotated[Path, Option(help="Folder of the run folders.")] = Path("runs/sweeps"),
) -> None:
    """Run what a sweep declares and has no record of yet; a record a run goes to data/recorded.

    Seed by seed, so that a sweep which is cut short leaves whole seeds; four rows of a seed share
    batches and the teacher's look at them. The same command again goes on where it was. To re-make
    a recorded row from scratch, name other folders: --only ROW --seeds 0 --recorded again
    --runs again. With --check, the first steps of each recorded row are made again with its first
    seed (or --seeds), and confirmed.json beside the records says how they compared: where they
    differ, tables show the row as stale.
    """
    from tqdm.auto import tqdm

    from ..errors import LabError
    from ..report.sweep_spec import CLOSE, RECORDED, read_sweep
    from ..runs.sweep import replay, run_side_by_side, run_sweep, to_do

    declared, place = read_sweep(file), recorded or RECORDED
    words = [seed.strip() for seed in seeds.split(",") if seed.strip()]
    if not all(word.isdecimal() for word in words):
        raise LabError(f"--seeds takes numbers such as 0,1,2; got {seeds!r}")
    chosen = list(dict.fromkeys(map(int, words)))
    names = only or []
    if check:
        name = ""
        for name, seed, apart in replay(declared, names, chosen, place):
            verdict = "agrees" if apart <= CLOSE else "DIFFERS: the row is stale"
            print(f"{name}-s{seed}: {verdict} (losses differ by {apart:.2g} of their size)")
        if not name:
            print(f"{declared.name}: no such run is recorded with its first losses in {place}")
        return
    plan = to_do(declared, names, chosen, place)
    whole = len(declared.plan(names, chosen))
    print(f"{declared.title}\n{whole} runs, {whole - len(plan)} of them recorded; {place}")
    if not plan:
        return
    if side_by_side > 1:
        options = ["--recorded", str(place), "--runs", str(runs)]
        run_side_by_side(declared, file, plan, side_by_side, options)
        left = [f"{row.name}-s{seed}" for row, seed in to_do(declared, names, chosen, place)]
        print(f"{len(plan)} runs tried, {len(plan) - len(left)} of them done")
        if left:
            again = "the same command without --side-by-side tries them again and says why"
            raise LabError(f"not done: {', '.join(left)}; {again}")
        return
    steps = sum(int(row.settings["schedule.steps"]) for row, _ in plan)
    with tqdm(total=steps, unit="step", dynamic_ncols=True, smoothing=0.05) as bar:
        told: dict[Any, int] = {}

        def listen(row: Any, seed: int, metrics: dict[str, Any]) -> None:
            bar.set_description(f"seed {seed}, {row.name}")
            bar.update(metrics["step"] - told.get((row.name, seed), 0))
            told[row.name, seed] = metrics["step"]

        lines = run_sweep(declared, names, chosen, runs, place, listener=listen)
    for line in lines:
        came = f"AP {line['AP']:.1f}" if line["status"] == "done" else f"failed: {line['reason']}"
        print(f"{line['row']}-s{line['seed']}: {came}")
    if failed := sum(line["status"] != "done" for line in lines):
        raise LabError(f"{failed} of {len(lines)} runs failed; the same command tries them again")


RUN_COLUMNS = ["run", "method", "options", "seed", "status"]
RUN_COLUMNS += ["AP", "AP50", "APS", "APM", "APL", "created"]


def runs(
    root: Annotated[Path, Argument(help="Folder that holds run folders.")] = Path("runs"),
    csv: Csv = None,
    wide: Wide = False,
    compare: Annotated[
        bool, Option("--compare", help="A folder and method a line: mean AP, its interval.")
    ] = False,
    tail: Annotated[Path | None, Option(help="How a launched run stands, and its log.")] = None,
    stop: Annotated[Path | None, Option(help="End a launched run; nothing is lost.")] = None,
    resume: Annotated[
        Path | None, Option(help="Go on with a launched run from its last checkpoint.")
    ] = None,
) -> None:
    """List the runs below a folder with their method, seed, status and AP; watch and steer one."""
    from ..errors import LabError

    if named := {folder for folder in (tail, stop, resume) if folder}:
        from ..runs.processes import Run
        from ..runs.watch import describe, gpu_use

        if len(named) > 1 or compare or csv:
            raise LabError("--tail, --stop and --resume are of one run: say nothing else beside")
        run = Run.open(named.pop())
        if stop:
            run.stop()
        if resume:
            run.resume()
        print(f"{run.folder}: {describe(run.state(), run.reason)}")
        print("\n".join(filter(None, (gpu_use(), run.tail(20)))))
        return
    from ..engine.record import runs_frame
    from ..report.results import by_study
    from ..report.stats import summarise

    frame = runs_frame(root)
    if frame.empty:
        raise LabError(
            f"no runs below {root}: 'crosskd-lab race' or 'crosskd-lab train' makes some"
        )
    shown = frame[[name for name in RUN_COLUMNS if name in frame]]
    if compare:
        done = by_study(frame)
        if "AP" not in done or done["AP"].isna().all():
            raise LabError(f"no run below {root} is done with an AP: there is nothing to compare")
        shown = summarise(done, by=["study", "method", "variant", "teacher"], value="AP")
    names = list(map(str, shown.columns))
    less = ("created", "APL", "APM", "APS", "AP50")
    whole = {"seed": lambda seed: "–" if seed != seed else f"{seed:.0f}"}  # NaN: a broken record
    print_table(shown.to_dict("records"), names, less, wide, forms=whole)
    write_csv(shown if compare else frame, csv)
