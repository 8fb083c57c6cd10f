"""Starting, watching, stopping and resuming runs in processes of their own."""

from .run import Run
from .start import launch

__all__ = ["Run", "launch"]
