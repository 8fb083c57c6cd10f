"""What every check of an exercise shares: one line of answer, whatever the learner's function does.

An answer begins with "Right" or with "Not yet" and a hint; nothing is raised, so that a notebook
with its exercises unsolved still runs to its end.
"""

import json
import os
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import wraps
from numbers import Real
from pathlib import Path
from typing import Any

import torch

from ..errors import LabError, tell_once
from ..files import PROJECT, open_folder, read_json, write_whole

SOLVED = PROJECT / "runs" / "solved.json"
"""Which checks said "Right" and on what day first, in notebooks that somebody has opened."""


class Wrong(Exception):
    """A hint for the learner, raised by a check."""


def verdict(check: Callable[..., str]) -> Callable[..., str]:
    """Turn hints, and whatever the learner's function raises, into an answer."""

    @wraps(check)
    def answer(function: Callable[..., Any], *others: Any) -> str:
        try:
            said = f"Right: {check(function, *others)}"
        except Wrong as hint:
            return f"Not yet: {hint}"
        except Exception as error:  # the learner's own, whatever it is
            file = getattr(getattr(function, "__code__", None), "co_filename", None)
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == file]
            name, what = type(error).__name__, "your function, or what is done with its answer,"
            if lines:
                return (
                    f"Not yet: your function raised {name} in line {lines[-1]} of its cell: {error}"
                )
            return f"Not yet: {what} raised {name}: {error}"
        if os.environ.get("JPY_SESSION_NAME"):  # Jupyter's, of a kernel that a page or test has not
            try:
                days = solved(SOLVED)
                days.setdefault(check.__name__, time.strftime("%Y-%m-%d"))
                open_folder(SOLVED.parent)
                write_whole(SOLVED, json.dumps(days, indent=1) + "\n")
            except LabError as error:
                tell_once(f"the answer is not noted: {error}")
        return said

    return answer


def solved(path: Path = SOLVED) -> dict[str, str]:
    """The days on which checks first said "Right", by the checks' names."""
    return read_json(path, "delete it to begin anew") if path.exists() else {}


NUMBERS = {1: "one number", 2: "two numbers", 4: "four numbers"}


def numbers(found: Any, count: int) -> list[float]:
    """``count`` numbers in whatever form: of Python, numpy or torch, of any precision, listed."""
    parts = found if isinstance(found, list | tuple) else [found]
    try:
        parts = [float(part) if isinstance(part, Real) else part for part in parts]
        read = [torch.as_tensor(part).detach().cpu().double().flatten() for part in parts]
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"return {NUMBERS[count]}, not {type(found).__name__}") from None
    flat = [value for part in read for value in part.tolist()]
    if len(flat) != count:
        raise Wrong(f"return {NUMBERS[count]}, not {len(flat)}")
    return flat


def expect(
    function: Callable[..., Any],
    given: Sequence[Any],
    wanted: Sequence[float],
    case: str,
    hints: Iterable[tuple[Sequence[float], str]] = (),
    usual: str = "",
) -> None:
    """Call with copies of ``given``; raise the hint of the answer that came, unless as ``wanted``.

    ``case`` is what was given, in words; ``hints`` are known wrong answers and what each of them
    gives away, ``usual`` is the hint for every other.
    """
    got = numbers(function(*deepcopy(list(given))), len(wanted))

    def near(values: Sequence[float]) -> bool:  # also in half precision; never NaN
        return all(abs(g - v) <= 1e-3 for g, v in zip(got, values, strict=True))

    if near(wanted):
        return
    hint = next((hint for values, hint in hints if near(values)), usual)
    said, right = (", ".join(f"{v:.5g}" for v in values) for values in (got, wanted))
    raise Wrong(f"{case} gives {said}, not {right}" + (f"; {hint}" if hint else ""))
