"""The one error that users are meant to read."""

from __future__ import annotations


class LabError(Exception):
    """A mistake in what was asked or given, told in one line that names the thing and the remedy.

    The command line prints the line alone and exits with 1; everything else is a bug in the lab
    and keeps its traceback.
    """
