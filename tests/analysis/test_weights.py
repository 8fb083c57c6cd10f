"""A method's weights on an image: by hand, and against the gradient that they make."""

import types

import pytest
import torch

from crosskd_lab.gradients import PULL, REGION, method_views, weight_map, weight_shares
from crosskd_lab.methods.crosskd import CrossKD
from crosskd_lab.methods.inside_gt import InsideGT
from crosskd_lab.methods.pkd import PKD
from crosskd_lab.taps import collect


@pytest.fixture(scope="module")
def taught(make_pair, make_batch):
    pair = make_pair(3)
    inputs, samples = make_batch()
    return pair, {"inputs": inputs, "data_samples": samples}


def test_a_weight_is_spread_over_its_pixels(taught):
    pair, batch = taught
    taps, _ = collect(pair, batch["inputs"], batch["data_samples"])
    levels = [torch.zeros(2, *m.shape[-2:]) for m in taps.teacher.neck]
    levels[0][1, 2, 3] = 64.0  # stride 8: centre at y = 16, x = 24
    levels[1][1, 1, 1] = 512.0  # stride 16: centre at 16, 16
    drawn = weight_map(
        taps, types.SimpleNamespace(region_map=lambda taps: tuple(levels)), 1, (64, 64)
    )
    assert drawn[16, 24] == 1.0 and drawn[16, 16] == 2.0
    assert drawn[16, 22] == 3.0, "both levels lie on top of each other"
    assert drawn.sum() == 64 + 512
    assert drawn[40:].sum() == 0
    alike = weight_map(taps, PKD(), 0, (64, 64))
    wanted = sum(1 / stride**2 for stride in (8, 16, 32, 64, 128))
    torch.testing.assert_close(alike, torch.full((64, 64), wanted))


def test_a_view_holds_region_and_pull(taught):
    pair, batch = taught
    views = method_views(pair, batch, {"boxes": InsideGT(), "pkd": PKD()}, image=1)
    view = views["boxes"]
    assert list(view.maps) == [REGION, PULL] and view.image.shape == (64, 64, 3)
    assert view.boxes.tolist() == [[2, 4, 34, 50]]
    region, pull = view.maps.values()
    assert region[24, 16] > 0 and region[60, 60] == 0
    # a feature method pulls nowhere but where it weighs; its levels' borders are half a cell off
    assert pull[region == 0].sum() <= 0.02 * pull.sum()
    assert (views["pkd"].maps[PULL] > 0).mean() > 0.9


def test_shares_of_weight_and_gradient(taught):
    pair, batch = taught
    methods = {"boxes": InsideGT(), "pkd": PKD(), "crosskd": CrossKD()}
    frame = weight_shares(pair, batch, methods)
    assert len(frame) == 2 * 3
    table = frame.groupby("method").mean(numeric_only=True)
    assert table.loc["boxes", "weight"] == 1.0
    assert table.loc["pkd", "weight"] == pytest.approx(table.loc["pkd", "area"])
    assert table.loc["pkd", "chosen"] == 1.0 and table.loc["boxes", "chosen"] < 0.5
    assert table["pull"].between(0, 1).all() and table["cosine"].between(-1, 1).all()


def test_no_weight_has_no_share(taught, make_batch):
    pair, _ = taught
    inputs, samples = make_batch([[], []])
    frame = weight_shares(pair, {"inputs": inputs, "data_samples": samples}, {"b": InsideGT()})
    assert frame["weight"].isna().all() and frame["pull"].isna().all()
    assert (frame["chosen"] == 0).all()
