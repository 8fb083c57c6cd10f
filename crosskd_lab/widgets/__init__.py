"""Widgets that notebooks show: pictures drawn beforehand, and one control that leafs through."""

from crosskd_lab.widgets.frames import Frames

__all__ = ["Frames"]
