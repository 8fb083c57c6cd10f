"""Small functions over whole maps that a GPU runs several times faster when compiled.

Each is compiled by itself, for whole networks take minutes. Where torch cannot compile, all of them
run as they are written, after one line of warning; the numbers are the same but for rounding.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

F = TypeVar("F", bound=Callable[..., Any])
_state = {"compiling": False}


def compile_hot(on: bool = True) -> None:
    """Compile hot functions from now on (or no longer), on GPUs."""
    _state["compiling"] = on


def hot(function: F) -> F:
    """Mark a function of tensors, the first argument one of them, as worth compiling."""
    compiled = functools.cache(lambda: torch.compile(function, dynamic=True))

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not (_state["compiling"] and args[0].is_cuda):
            return function(*args, **kwargs)
        try:
            return compiled()(*args, **kwargs)
        except Exception as error:  # no compiler, no Triton, a graph that torch does not take
            compile_hot(False)
            reason = str(error).strip().splitlines() or [type(error).__name__]
            warnings.warn(f"torch cannot compile here, going on without: {reason[0]}", stacklevel=2)
            return function(*args, **kwargs)

    return cast(F, call)
