"""What a check says, and how a check that raises becomes a FAIL."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from crosskd_lab.errors import LabError

REINSTALL = "run `make` in the project's folder, or pip install -e . in this environment"


@dataclass(frozen=True)
class Finding:
    """What one check found: ``detail`` in either case, ``remedy`` where it is not ``ok``."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


class Check(NamedTuple):
    """A look that returns its detail or raises, and what to do when it raises."""

    name: str
    look: Callable[[], str]
    remedy: str

    def finding(self) -> Finding:
        """Looks; ``LabError`` tells what is wrong, any other error is itself what is wrong."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of stock wheels about their own age
                return Finding(self.name, True, self.look())
        except LabError as error:
            return Finding(self.name, False, str(error), self.remedy)
        except Exception as error:
            first_line = (str(error).splitlines() or [""])[0]
            detail = f"{type(error).__name__}: {first_line}"
            return Finding(self.name, False, detail, self.remedy)
