"""What every check of an exercise shares: one line of answer, whatever the learner's function does.

An answer begins with "Right" or with "Not yet" and a hint; nothing is raised, so that a notebook
with its exercises unsolved still runs to its end.
"""

from __future__ import annotations

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
            return f"Not yet: your function raised {type(error).__name__}: {error}"

    return answer
