"""Arrows start and end where the delivery says."""

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from crosskd_lab.errors import LabError
from crosskd_lab.report.head_figures import CROSSED, OWN, SPARED, TAUGHT, TEACHER, decoder_figure


def drawn(figure):
    """Kinds of arrows, and the colours of both decoders' layers from below up."""
    (ax,) = figure.axes
    arrows = [patch.get_gid() for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    words = {text.get_position(): text.get_text() for text in ax.texts}
    layers = {"s": [], "t": []}
    boxes = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    for box in sorted(boxes, key=lambda box: box.get_y()):
        x = box.get_x() + box.get_width() / 2
        at = min(words, key=lambda place: abs(place[0] - x) + abs(place[1] - box.get_y() - 0.3))
        if words[at].startswith("decoder layer"):
            side = "t" if abs(x - TEACHER) < 0.1 else "s"
            layers[side].append(to_hex(box.get_facecolor()).upper())
    return arrows, layers["s"], layers["t"]


@pytest.mark.parametrize("i", [0, 1, 2])
def test_memory_goes_to_every_layer_that_teaches_and_spares_the_decoder(i):
    arrows, student, teacher = drawn(decoder_figure(3, i, "memory"))
    assert arrows == ["student's memory"] * (3 - i)
    assert student == [SPARED] * 3
    assert teacher == [OWN] * i + [CROSSED] * (3 - i)


def test_queries_teach_the_layers_that_made_them():
    arrows, student, teacher = drawn(decoder_figure(3, 1, "query"))
    assert sorted(arrows) == ["student's memory"] * 2 + ["student's query"] * 2
    assert student == [TAUGHT, TAUGHT, SPARED], "nothing crosses after the last layer"
    assert teacher == [OWN, CROSSED, CROSSED]


def test_the_picture_is_as_wide_as_all():
    assert (decoder_figure(6, 0, "query").get_size_inches() * 100)[0] == 1280


@pytest.mark.parametrize(("i", "delivered"), [(3, "memory"), (-1, "query"), (0, "keys")])
def test_what_cannot_be_drawn(i, delivered):
    with pytest.raises(LabError, match="choose"):
        decoder_figure(3, i, delivered)
