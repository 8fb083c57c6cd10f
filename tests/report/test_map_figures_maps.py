"""Maps over images: scale, outlines in pixels, no ticks."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from crosskd_lab.report.map_figures import bare, draw_boxes, draw_circle, draw_map, maps_figure


@pytest.fixture
def ax():
    return Figure().subplots()


def test_a_map_starts_at_zero_and_ends_at_its_maximum_or_the_one_given(ax):
    values = np.array([[0.1, 0.4]])
    assert draw_map(ax, values, "a").get_clim() == (0, 0.4)
    assert draw_map(ax, values, "b", top=1.0).get_clim() == (0, 1.0)
    assert draw_map(ax, 0 * values, "c").get_clim() == (0, 1.0)
    assert ax.get_title(loc="left") == "c"


def test_boxes_lie_on_pixels(ax):
    draw_boxes(ax, [[2, 3, 10, 7]])
    (box,) = ax.patches
    # Pixel k is drawn from k - 0.5 to k + 0.5, its left edge at coordinate k of the image.
    assert box.get_bbox().extents.tolist() == [1.5, 2.5, 9.5, 6.5]
    draw_boxes(ax, np.zeros((0, 4)))
    assert len(ax.patches) == 1


def test_a_circle_is_light_with_a_dark_rim(ax):
    draw_circle(ax, 5, 6, 2)
    (circle,) = ax.patches
    assert (circle.center, circle.radius) == ((5, 6), 2)
    assert mpl.colors.to_hex(circle.get_edgecolor()) == "#ffffff"
    assert len(circle.get_path_effects()) == 1


def test_an_image_has_a_title_and_no_ticks(ax):
    bare(ax, "image")
    assert ax.get_title(loc="left") == "image"
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0


def test_maps_in_a_row_share_one_scale():
    low, high = np.full((8, 8), 0.5), np.full((8, 8), 2.0)
    figure = maps_figure(np.zeros((8, 8, 3), np.uint8), [[1, 1, 4, 4]], {"a": low, "b": high}, "t")
    image, left, right, bar = figure.axes
    assert [ax.get_title("left") for ax in (image, left, right)] == ["image and boxes", "a", "b"]
    assert left.images[0].get_clim() == right.images[0].get_clim() == (0, 2)
    assert all(len(ax.patches) == 1 for ax in (image, left, right)) and bar.get_ylim() == (0, 2)
    fixed = maps_figure(np.zeros((8, 8, 3), np.uint8), [], {"a": low}, "t", top=1.0)
    assert fixed.axes[1].images[0].get_clim() == (0, 1)
