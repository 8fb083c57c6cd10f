"""The one error that users are meant to read, and the one way to tell them of less."""

import sys
from collections.abc import Iterable

_LONGEST = 4000  # letters
_told: set[str] = set()


class LabError(Exception):
    """A mistake in what was asked or given, told in one line that names the thing and the remedy.

    The command line prints the line alone and exits with 1; everything else is a bug in the lab
    and keeps its traceback. What a file or a server has put into the line cannot break it or
    write to the terminal: line ends become spaces, and other marks are shown as their codes.
    """

    def __str__(self) -> str:
        line = " ".join(super().__str__().split())
        if len(line) > _LONGEST:  # the thing is named at its start, the remedy at its end
            line = f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)

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
