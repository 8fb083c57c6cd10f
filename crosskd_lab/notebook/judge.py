"""What every check of an exercise shares: one line of answer, whatever the learner's function does.

An answer begins with "Right" or with "Not yet" and a hint; nothing is raised, so that a notebook
with its exercises unsolved still runs to its end.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any


class Wrong(Exception):
    """A hint for the learner, raised by a check."""


def verdict(check: Callable[..., str]) -> Callable[..., str]:
    """Turn hints, and whatever the learner's function raises, into an answer."""

    @wraps(check)
    def answer(function: Callable[..., Any], *others: Any) -> str:
        try:
            return f"Right: {check(function, *others)}"
        except Wrong as hint:
            return f"Not yet: {hint}"
        except Exception as error:  # the learner's own, whatever it is
            file = getattr(getattr(function, "__code__", None), "co_filename", None)
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == file]
            where = f" in line {lines[-1]} of its cell" if lines else ""
            return f"Not yet: your function raised {type(error).__name__}{where}: {error}"

    return answer
