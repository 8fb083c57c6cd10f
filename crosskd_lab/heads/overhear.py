"""Listening to stock mmdet while it works, so that nothing of it has to be copied or run twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def overhear(obj: Any, method: str) -> Iterator[list[Any]]:
    """Collect what ``obj.method`` returns while the block runs; the class stays untouched.

    Args:
        obj: Any object; of a module, ``forward`` can be overheard too.
        method: Name of its method.

    Yields:
        What the method returned, call by call.
    """
    heard: list[Any] = []
    original, listened_to = getattr(obj, method), method in vars(obj)

    def listen(*args: Any, **kwargs: Any) -> Any:
        heard.append(original(*args, **kwargs))
        return heard[-1]

    object.__setattr__(obj, method, listen)
    try:
        yield heard
    finally:
        if listened_to:
            object.__setattr__(obj, method, original)
        else:
            object.__delattr__(obj, method)
