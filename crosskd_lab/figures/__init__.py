"""Figures from data frames and arrays. A method looks the same in all of them.

Nothing here imports torch or pyplot. Figures are 1280 pixels wide at 100 dots an inch.
"""

from crosskd_lab.figures.comparison import ap_figure, race_figure, split_figure
from crosskd_lab.figures.decoders import decoder_figure
from crosskd_lab.figures.evidence import differences_figure, time_figure
from crosskd_lab.figures.imitation import method_figure
from crosskd_lab.figures.look import DPI, WIDTH, Picture, Style, render, save, styles
from crosskd_lab.figures.maps import maps_figure
from crosskd_lab.figures.positives import Marks, positives_figure
from crosskd_lab.figures.prediction import prediction_figure
from crosskd_lab.figures.pulls import concentration_figure, energy_figure
from crosskd_lab.figures.targets import conflict_figure, largest_conflicts, target_maps_figure
from crosskd_lab.figures.towers import Delivery, HeadView, Layer, Tower, delivery_figure

__all__ = [
    "DPI",
    "WIDTH",
    "Delivery",
    "HeadView",
    "Layer",
    "Marks",
    "Picture",
    "Style",
    "Tower",
    "ap_figure",
    "concentration_figure",
    "conflict_figure",
    "decoder_figure",
    "delivery_figure",
    "differences_figure",
    "energy_figure",
    "largest_conflicts",
    "maps_figure",
    "method_figure",
    "positives_figure",
    "prediction_figure",
    "race_figure",
    "render",
    "save",
    "split_figure",
    "styles",
    "target_maps_figure",
    "time_figure",
]
