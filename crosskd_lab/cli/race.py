"""``crosskd-lab race``: the main job, watched as it runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..runs.recipes import detectors, listed, teachers
from ..runs.recipes import methods as known_methods
from .options import Settings, parse_settings


def race(
    steps: Annotated[int, typer.Option(min=3, help="Training steps of each student.")] = 120,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds; above 1 gives intervals.")] = 1,
    methods: Annotated[
        str, typer.Option(help=f"Comma-separated, any of: {listed(known_methods())}; or all.")
    ] = "none,kd,crosskd,crosskd_pkd",
    teacher: Annotated[
        str,
        typer.Option(
            help=f"Any of the shipped teachers: {listed(teachers())}; the folder of a run; or "
            "random:NAME, an untrained detector."
        ),
    ] = "gfl_r18_w32",
    student: Annotated[
        str, typer.Option(help=f"Any of: {listed(detectors())}; or the path of a config.")
    ] = "gfl_r18_w16",
    data: Annotated[
        Path | None, typer.Option(help="A COCO-format folder; synthetic scenes by default.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The race's folder; resumes what is there.")] = Path(
        "runs/race"
    ),
    settings: Settings = None,
) -> None:
    """Train none / KD / CrossKD / CrossKD+PKD students from one teacher and compare them.

    Student and teacher may be of different kinds. CrossKD delivers, and weighs its terms, as the
    teacher's head asks.
    """
    from ..runs.race import check_methods, find_student, find_teacher, run_race

    names = method_names(methods)
    own = parse_settings(settings)
    check_methods(names)
    find_student(student)
    find_teacher(teacher, own.get("teacher.config"))
    console = Console()
    board = Board(console, names, steps, seeds)
    console.print(
        f"Students to train: {len(names) * seeds} of {Path(student).stem}, {steps} steps each, all "
        f"from one start; teacher {Path(teacher).stem}. Runs go to {out}.",
        highlight=False,
    )
    with board:
        result = run_race(out, steps, seeds, names, data, teacher, student, own, board)
    console.print(board.table() if not console.is_terminal else "")
    console.print(Text(result.paragraph))
    console.print(f"\nFigure: {out / 'race.png'} (also .svg); numbers: {out / 'race.csv'}")


def method_names(text: str) -> list[str]:
    """The methods of a comma-separated list; ``all`` are those that have a config, none first."""
    if text.strip() == "all":
        return sorted(known_methods(), key=lambda name: (name != "none", name))
    return [name.strip() for name in text.split(",") if name.strip()]


class Board:
    """A live table of the race: a row a student, refreshed as rows of metrics arrive.

    Where the output is no terminal, a line a validation is printed instead.
    """

    COLUMNS = ("student", "step", "loss", "AP", "L1 to teacher", "L1 to truth", "s/step")

    def __init__(self, console: Console, methods: list[str], steps: int, seeds: int) -> None:
        self.console, self.steps = console, steps
        self.rows: dict[str, dict[str, Any]] = {
            f"{method}-s{seed}": {} for seed in range(seeds) for method in methods
        }
        self.start = time.monotonic()
        self.live = Live(console=console, get_renderable=self.table, refresh_per_second=2)

    def __call__(self, method: str, seed: int, row: dict[str, Any]) -> None:
        """Take a row of metrics in."""
        name = f"{method}-s{seed}"
        self.rows[name].update(row)
        if row["kind"] == "val" and not self.console.is_terminal:
            ap = f"{row['AP']:5.1f}" if "AP" in row else "    –"
            shown = f"{name:<16} step {row['step']:>5}  AP {ap}"
            print(f"{shown}  ({time.monotonic() - self.start:.0f} s)", flush=True)

    def table(self) -> Table:
        """The table as it stands, with the time left by the pace so far."""
        table = Table(title=self._title(), title_justify="left", box=None, pad_edge=False)
        for column in self.COLUMNS:
            table.add_column(column, justify="left" if column == "student" else "right")
        for name, row in self.rows.items():
            table.add_row(
                name,
                f"{row.get('step', 0)}/{self.steps}",
                *(
                    f"{row[key]:.{digits}f}" if key in row else "–"
                    for key, digits in (
                        ("loss", 2),
                        ("AP", 1),
                        ("l1_teacher", 2),
                        ("l1_truth", 2),
                        ("seconds_per_step", 2),
                    )
                ),
            )
        return table

    def _title(self) -> str:
        done = sum(row.get("step", 0) for row in self.rows.values())
        whole, spent = self.steps * len(self.rows), time.monotonic() - self.start
        left = f", about {spent * (whole - done) / done:.0f} s to go" if 0 < done < whole else ""
        return f"The race: {100 * done / whole:.0f} % after {spent:.0f} s{left}"

    def __enter__(self) -> Board:
        if self.console.is_terminal:
            self.live.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        if self.console.is_terminal:
            self.live.__exit__(*exc)
