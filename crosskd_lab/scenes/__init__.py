"""Synthetic detection scenes: ten shape classes, the same to the byte on every machine."""

from crosskd_lab.scenes.dataset import write_scenes
from crosskd_lab.scenes.draw import Look, Scene, crops, draw_scene, generator, single_shape
from crosskd_lab.scenes.manifest import data_checksum, verify_scenes
from crosskd_lab.scenes.outlines import CLASSES

__all__ = [
    "CLASSES",
    "Look",
    "Scene",
    "crops",
    "data_checksum",
    "draw_scene",
    "generator",
    "single_shape",
    "verify_scenes",
    "write_scenes",
]
