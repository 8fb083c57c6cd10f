"""The delivery is drawn where it happens: from which layer, into which, past what."""

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from crosskd_lab.errors import LabError
from crosskd_lab.report.head_figures import (
    CROSSED,
    OWN,
    SPARED,
    TAUGHT,
    TEACHER,
    Delivery,
    HeadView,
    Layer,
    Tower,
    decoder_figure,
    delivery_figure,
)


def head(title, channels, convs, said="10 classes"):
    tower = Tower(channels, (Layer("3×3", channels, "GN 16, ReLU"),) * convs, said)
    return HeadView(title, {"cls": tower, "reg": tower})


def draw(i, own, student=None, teacher=None):
    student, teacher = student or head("S", 64, 4), teacher or head("T", 64, 4)
    fitted = {"cls": "align: statistics", "reg": "align: nothing"}
    return delivery_figure(student, teacher, Delivery(i, own, fitted))


def boxes(ax):
    """The boxes of both towers from the neck up, by their middle."""
    found = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    left = [box for box in found if box.get_x() + box.get_width() / 2 < 5]
    right = [box for box in found if box.get_x() + box.get_width() / 2 > 5]
    return [sorted(part, key=lambda box: box.get_y()) for part in (left, right)]


def colours(part):
    return [to_hex(box.get_facecolor()).upper() for box in part]


@pytest.mark.parametrize("i", range(5))
def test_colours_part_at_the_delivered_layer(i):
    """Neck and C_1 ... C_i before, C_{i+1} ... C_5 after it, on both sides."""
    for ax in draw(i, i).axes:
        ours, theirs = boxes(ax)
        assert colours(ours) == [TAUGHT] * (1 + i) + [SPARED] * (5 - i)
        assert colours(theirs) == [OWN] * (1 + i) + [CROSSED] * (5 - i)


@pytest.mark.parametrize(("i", "convs"), [(0, 4), (4, 4), (3, 3), (1, 3)])
def test_the_arrow_leads_from_f_i_into_the_next_conv(i, convs):
    own = i + convs - 4
    for ax in draw(i, own, head("S", 32, convs)).axes:
        ours, theirs = boxes(ax)
        (arrow,) = (patch for patch in ax.patches if isinstance(patch, FancyArrowPatch))
        (x0, y0), (x1, y1) = arrow._posA_posB
        source, target = ours[own], theirs[i + 1]
        assert (x0, y0) == pytest.approx(
            (source.get_x() + source.get_width(), source.get_y() + source.get_height() / 2)
        )
        assert (x1, y1) == pytest.approx((target.get_x(), target.get_y() + target.get_height() / 2))


def test_widths_are_channels_and_texts_are_those_given():
    figure = draw(3, 2, head("small", 32, 3), head("large", 64, 4, "9 anchors × 10 classes"))
    ours, theirs = boxes(figure.axes[0])
    assert (len(ours), len(theirs)) == (5, 6)
    assert {round(box.get_width() / theirs[0].get_width(), 3) for box in ours} == {0.5}
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"small", "large", "align: statistics", "class branch"} <= set(texts)
    assert "$p^t$ and $\\hat{p}^s$: 9 anchors × 10 classes" in texts
    assert "align: nothing" in [text.get_text() for text in figure.axes[1].texts]
    assert "f_2^s" in figure.get_suptitle() and "i = 3" in figure.get_suptitle()


@pytest.mark.parametrize(("i", "own", "whose"), [(5, 4, "T"), (4, 5, "S"), (-1, 0, "T")])
def test_a_layer_that_is_not_there(i, own, whose):
    with pytest.raises(LabError, match=f"{whose} has no layer"):
        draw(i, own)


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


@pytest.mark.parametrize(("i", "delivered"), [(3, "memory"), (-1, "query"), (0, "keys")])
def test_what_cannot_be_drawn(i, delivered):
    with pytest.raises(LabError, match="choose"):
        decoder_figure(3, i, delivered)
