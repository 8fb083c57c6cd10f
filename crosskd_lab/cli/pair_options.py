"""Options of every verb that holds a teacher and a student against a set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Teacher = Annotated[
    str, typer.Option(metavar="NAME_OR_FILE", help="A shipped teacher, a run or a checkpoint.")
]
TeacherConfig = Annotated[
    str | None, typer.Option(metavar="CONFIG", help="What a bare checkpoint belongs to.")
]
StudentWeights = Annotated[
    str | None,
    typer.Option(metavar="RUN_OR_FILE", help="A trained student; by default it is untrained."),
]
Data = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A COCO-format folder; by default the teacher's own."),
]
Split = Annotated[str, typer.Option(help="train, val or test.")]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out records that are broken, and say which.")
]
Batch = Annotated[int, typer.Option(min=1, help="Images a forward pass.")]
