"""Options that several verbs have, each worded once."""

import ast
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from ..errors import LabError

Settings = Annotated[
    list[str] | None, Option("--set", metavar="KEY=VALUE", help="Replace a config's entry.")
]
Tensorboard = Annotated[
    bool, Option("--tensorboard", help="Also log for TensorBoard, in the run's folder.")
]
Data = Annotated[
    Path | None, Option(metavar="DIR", help="A COCO-format folder; by default the config's own.")
]
Split = Annotated[str, Option(help="train, val or test.")]
SkipBad = Annotated[
    bool, Option("--skip-bad", help="Leave out records that are broken, and say which.")
]
RunFolder = Annotated[Path | None, Option(help="Run folder; runs/<config>-s<seed> by default.")]
Saved = Annotated[
    str, Argument(metavar="RUN_OR_CHECKPOINT", help="A run, a file, or a shipped teacher.")
]
SavedConfig = Annotated[str | None, Option(help="What a bare checkpoint file was trained with.")]
Csv = Annotated[Path | None, Option(help="Also write all columns to this file.")]
Wide = Annotated[bool, Option("--wide", help="All columns, however narrow the terminal is.")]
Source = Annotated[
    Path | None, Option("--from", metavar="DIR", help="A folder that has the files already.")
]
Mirror = Annotated[str | None, Option(metavar="URL", help="In place of the publisher's address.")]

# Of verbs that hold a teacher and a student against a set.
TEACHER = "A shipped teacher, a run or a checkpoint."
TeacherConfig = Annotated[
    str | None, Option(metavar="CONFIG", help="What a bare checkpoint belongs to.")
]
StudentWeights = Annotated[
    str | None, Option(metavar="RUN_OR_FILE", help="A trained student; by default it is untrained.")
]
AnalysisFolder = Annotated[
    Path | None,
    Option(
        metavar="DIR",
        help="Folder for the numbers, the figures and where they came from.",
        show_default="runs/<verb>/<teacher>",
    ),
]

JSON = {"true": True, "false": False, "null": None}
"""Words that mean, as texts, the opposite of what is meant: "false" is true."""


def parse_settings(pairs: list[str] | None, tensorboard: bool = False) -> dict[str, Any]:
    """``["a.b=1", "c=x"]`` to ``{"a.b": 1, "c": "x"}``; values are Python literals (or JSON's)
    or text.

    ``tensorboard`` asks for that logger beside those of the config.
    """
    parsed: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise LabError(f"--set takes KEY=VALUE, for instance schedule.steps=400; got {pair!r}")
        try:
            parsed[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            parsed[key] = JSON.get(text, text)
    return parsed | ({"tensorboard": True} if tensorboard else {})
