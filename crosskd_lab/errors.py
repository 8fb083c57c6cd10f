"""The one error that users are meant to read, and the one way to tell them of less."""

import sys
from collections.abc import Iterable

_told: set[str] = set()


def one_line(text: str, longest: int = 4000) -> str:
    """A text as a line that a terminal can show: spaces for line ends, codes for odd marks.

    Of more than ``longest`` letters the start, which names the thing, and the end, the remedy.
    """
    line = " ".join(text.split())
    if len(line) > longest:
        line = f"{line[: longest // 2]} ... {line[-longest // 2 :]}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class LabError(Exception):
    """A mistake in what was asked or given, told in one line that names the thing and the remedy.

    The command line prints the line alone and exits with 1; everything else is a bug in the lab
    and keeps its traceback. What a file or a server has put into the line cannot break it.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it instead of a traceback: the line, as a terminal does."""
        return [f"crosskd-lab: {self}"]


def one_of(name: str, value: object, known: Iterable[str]) -> None:
    """Raise LabError unless a value is one of those that an option may have."""
    if value not in (names := list(known)):
        raise LabError(f"{name} = {value!r} is unknown: choose one of {', '.join(names)}")


def tell_once(line: str) -> None:
    """Say a line on stderr, once a process: of what was passed over, and work goes on without."""
    if line not in _told:
        _told.add(line)
        print(f"crosskd-lab: {LabError(line)}", file=sys.stderr)
