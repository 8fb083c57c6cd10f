"""Widgets that notebooks show: pictures drawn beforehand, and controls that leaf through."""

from crosskd_lab.widgets.frames import Frames
from crosskd_lab.widgets.menus import Menus

__all__ = ["Frames", "Menus"]
