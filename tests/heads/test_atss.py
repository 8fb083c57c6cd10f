"""ATSS's terms worked out by hand, centerness among them."""

import math

import pytest

from crosskd_lab.heads import adapter_for
from crosskd_lab.methods.crosskd import CrossKD
from crosskd_lab.pair import Pair
from crosskd_lab.taps import collect

LN4 = math.log(4)  # sigma = 0.8


def test_terms_of_constant_predictions(detector, constant, mimicry):
    adapter = adapter_for(detector("atss").bbox_head)
    ours = constant(adapter, 0.0, [0.0] * 4, 0.0)
    theirs = constant(adapter, LN4, [0.0, 0.0, 5 * math.log(2), 0.0], LN4)  # twice as wide
    objects = {prior: (0, [0.0, 0, 32, 32]) for prior in (3, 4, 5)}
    losses = mimicry(adapter, ours, theirs, objects, ignored=(0,), num_pos=4.0)
    assert losses == {
        "loss_kd_cls": pytest.approx(3 * 0.3 * math.log(2) * 85 / 4, rel=1e-5),
        "loss_kd_reg": pytest.approx(0.8 * 0.5 * 85 / 4, rel=1e-5),
        # BCE(0.8, sigma = 0.5) = ln 2 at each of three positives
        "loss_kd_centerness": pytest.approx(math.log(2) * 3 / 4, rel=1e-5),
    }


def test_equal_centerness_leaves_its_entropy(detector, constant, mimicry):
    adapter = adapter_for(detector("atss").bbox_head)
    same = constant(adapter, LN4, [0.0] * 4, LN4)
    losses = mimicry(adapter, same, same, {7: (0, [0.0, 0, 32, 32])})
    assert losses["loss_kd_cls"] == pytest.approx(0, abs=1e-6)
    assert losses["loss_kd_reg"] == pytest.approx(0, abs=1e-4)
    assert losses["loss_kd_centerness"] == pytest.approx(0.500402, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "terms"),
    [
        ({"branches": ("cls",)}, {"cls"}),
        ({"branches": ("reg",)}, {"reg", "centerness"}),
    ],
)
def test_centerness_goes_with_its_tower(detector, batch, arguments, terms):
    pair = Pair(detector("gfl", seed=1), detector("atss", seed=2))
    taps, _ = collect(pair, *batch)
    losses = CrossKD(**arguments).losses(taps)
    assert losses.keys() == {f"loss_crosskd_{term}" for term in terms}
