"""Widgets that notebooks show: pictures drawn beforehand, and controls that leaf through."""

from crosskd_lab.widgets.beside import Beside
from crosskd_lab.widgets.frames import Frames
from crosskd_lab.widgets.menus import Menus
from crosskd_lab.widgets.offer import Command, Offer
from crosskd_lab.widgets.tables import TableView
from crosskd_lab.widgets.watch import Watch

__all__ = ["Beside", "Command", "Frames", "Menus", "Offer", "TableView", "Watch"]
