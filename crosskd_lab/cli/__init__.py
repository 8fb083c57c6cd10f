"""The command line ``crosskd-lab``: arguments in, verbs of the library out, mistakes in one line.

To add a verb: write ``crosskd_lab/cli/<name>.py`` that holds ``<name>``, a function (one command)
or a ``typer.Typer`` (a family of commands), and add its line to ``VERBS``; ``HOMES`` names the
modules that hold several verbs of one subject.
Only the verb that was asked for is imported, so ``--help`` needs neither torch nor mmdet.
"""

import inspect
import io
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

try:
    import typer
except ModuleNotFoundError:
    sys.exit("crosskd-lab: the command line is the lab's: pip install 'crosskd-lab[lab]'")

from crosskd_lab import __version__
from crosskd_lab.errors import LabError

VERBS = {
    "doctor": "Check python, torch, packages, ops and disk; say what to do about each FAIL.",
    "race": "Train students with and without a teacher side by side, and say what came of it.",
    "sweep": "Run a declared set of experiments with every seed, and record each run.",
    "runs": "List what has been run, with method, seed, status and AP.",
    "train": "Train a detector, alone or with a teacher, into a run folder.",
    "recipes": "List the paper's rows that can be trained, with their AP and what they need.",
    "plan": "Predict hours, memory and cost of a recipe on 1 to 64 GPUs from one measured step.",
    "launch": "Start a recipe on GPUs, CPU processes or a cluster; it outlives the terminal.",
    "results": "Show a table of the paper beside recorded runs and yours.",
    "eval": "Measure the AP of a run, a checkpoint or a shipped teacher.",
    "conflict": "Count where a teacher contradicts a student's assigner (Fig. 3).",
    "gradients": "Measure where losses pull at a student, and how focused they are (Fig. 5).",
    "export": "Write a trained detector as files that stock mmdet opens.",
    "teachers": "Get a public teacher; list all; ship a trained detector as one, and check it.",
    "pretrain": "Pretrain a backbone on single shapes, the pocket scale's stand-in for ImageNet.",
    "book": "Execute every notebook and render it to build/book/index.html.",
    "workshop": "Editions for students and instructor, wheels to hand out, hand-ins judged.",
    "data": "Make synthetic scenes, get COCO; draw and check any set in COCO format.",
}
HOMES = {
    **dict.fromkeys(("train", "pretrain", "race", "sweep", "runs"), "training"),
    **dict.fromkeys(("recipes", "plan", "launch"), "scaling"),
    **dict.fromkeys(("eval", "results", "conflict", "gradients"), "measuring"),
    **dict.fromkeys(("data", "teachers", "export", "book", "workshop"), "material"),
}


def main(args: Sequence[str] | None = None) -> None:
    """Run ``crosskd-lab`` on ``args`` (default: the process's own) and exit.

    Raises:
        SystemExit: always; 0 for success, 1 for a ``LabError`` (printed as one line on stderr),
            2 for wrong usage, 130 after Ctrl-C, else the verb's own code.
    """
    args = sys.argv[1:] if args is None else list(args)
    # Of mmengine's (why setuptools < 81 is pinned) and mmdet's own calls: nothing for users to do.
    for known in ("pkg_resources is", "torch.meshgrid: in", "DeprecationWarning: `num_anchors`"):
        warnings.filterwarnings("ignore", message=known)
    # Before torch is imported: threads that wait spin for a moment and then let others work.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal need not know every letter
    try:
        _app(args)(args, prog_name="crosskd-lab")
    except LabError as error:
        print(f"crosskd-lab: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if (error.name or "crosskd_lab").startswith("crosskd_lab"):
            raise
        print(f"crosskd-lab: no {error.name} here: pip install 'crosskd-lab[lab]'", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # of the world outside, not a bug: a full disk, a name too long
        if error.strerror is None:
            raise
        print(f"crosskd-lab: {LabError(error)}: name another place or free it", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _app(args: Sequence[str]) -> typer.Typer:
    """The whole command tree, with the one verb that ``args`` name imported and the rest listed."""
    app = typer.Typer(
        callback=_top, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    asked = next((arg for arg in args if not arg.startswith("-")), None)
    for verb, summary in VERBS.items():
        if verb != asked:
            app.command(verb, help=summary)(_not_imported)
            continue
        module = import_module(f"crosskd_lab.cli.{HOMES.get(verb, verb)}")
        found = getattr(module, verb)
        if isinstance(found, typer.Typer):
            for part in found.registered_commands:
                part.help = _flowing(part.callback)
            app.add_typer(found, name=verb, help=summary)
        else:
            app.command(verb, help=_flowing(found))(found)
    return app


def _flowing(function: Any) -> str:
    """A verb's docstring, more than its summary, in paragraphs as wide as they can be."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit()


_VERSION = typer.Option("--version", callback=_print_version, is_eager=True, help="Show it, exit.")


def _top(version: Annotated[bool, _VERSION] = False) -> None:
    """CrossKD Lab: cross-head knowledge distillation for dense detectors."""


def _not_imported() -> None:
    """Stand-in for a verb that this command line only lists."""
