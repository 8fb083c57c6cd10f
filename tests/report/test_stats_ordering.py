"""Rank correlations that can be counted by hand, and what may be said of them."""

import math

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.stats import by_pair, find_ordering, tell_ordering


def frame(**pairs):
    """``name=(ratio, [gain of each seed])``."""
    rows = [
        {"pair": name, "ratio": ratio, "seed": seed, "gain": gain}
        for name, (ratio, gains) in pairs.items()
        for seed, gain in enumerate(gains)
    ]
    return pd.DataFrame(rows, columns=["pair", "ratio", "seed", "gain"])


THREE = frame(a=(0.1, [1.0, 1.2]), b=(0.2, [2.0, 2.2]), c=(0.3, [3.0, 3.2]))


def test_a_row_a_pair():
    table = by_pair(frame(a=(0.5, [1.0, 2.0, 3.0]), b=(0.1, [4.0])))
    assert table["pair"].tolist() == ["a", "b"]
    assert table["gain"].tolist() == [2, 4] and table["n"].tolist() == [3, 1]
    # s = 1, t(0.975, 2) = 4.302653: half width 4.302653 / sqrt(3); one seed has none.
    assert table["half_width"][0] == pytest.approx(2.48414, abs=1e-5)
    assert math.isnan(table["half_width"][1])


def test_three_pairs_in_perfect_order_prove_nothing():
    found = find_ordering(THREE)
    # Of 3! = 6 orders, 1 has rho = 1 and 1 has rho = -1. Gains never overlap: seeds change nothing.
    assert (found.rho, found.low, found.high) == pytest.approx((1, 1, 1))
    assert found.p == pytest.approx(1 / 3) and found.least == pytest.approx(1 / 3)
    assert "cannot show" in tell_ordering(found) and "0.33" in tell_ordering(found)


def test_rho_by_hand():
    """Ranks 1 2 3 4 against 2 1 4 3: differences 1 1 1 1, rho = 1 - 6 * 4 / (4 * 15) = 0.6."""
    four = frame(a=(1, [2.0]), b=(2, [1.0]), c=(3, [4.0]), d=(4, [3.0]))
    assert find_ordering(four).rho == pytest.approx(0.6)


def test_five_pairs_can_be_told_from_chance_and_the_direction_is_said():
    rising = frame(**{name: (k, [k, k + 0.1]) for k, name in enumerate("abcde")})
    assert find_ordering(rising).p == pytest.approx(2 / 120)
    assert "gained more" in tell_ordering(find_ordering(rising))
    falling = rising.assign(gain=-rising["gain"])
    assert "gained less" in tell_ordering(find_ordering(falling))
    mixed = frame(a=(1, [3.0]), b=(2, [1.0]), c=(3, [5.0]), d=(4, [2.0]), e=(5, [4.0]))
    assert "no prediction is shown" in tell_ordering(find_ordering(mixed))


def test_noise_between_seeds_widens_the_interval():
    noisy = frame(a=(0.1, [0, 4.0]), b=(0.2, [1, 3.1]), c=(0.3, [0, 4.4]))
    found = find_ordering(noisy)
    assert found.low < 0 < found.rho <= found.high


@pytest.mark.parametrize(("count", "said"), [(0, "No pair has"), (1, "One pair"), (2, "Two pairs")])
def test_too_few_pairs_are_said(count, said):
    names = dict(list({"a": (0.1, [1.0]), "b": (0.2, [2.0])}.items())[:count])
    assert said in tell_ordering(find_ordering(frame(**names)))


def test_equal_ratios_have_no_order():
    same = frame(a=(0.1, [1.0]), b=(0.1, [2.0]), c=(0.1, [3.0]))
    assert "equal on one side" in tell_ordering(find_ordering(same))


def test_a_pair_has_one_ratio():
    twice = pd.concat([frame(a=(0.1, [1.0])), frame(a=(0.2, [1.0]))])
    with pytest.raises(LabError, match="several"):
        by_pair(twice)
    with pytest.raises(LabError, match="no ratio"):
        by_pair(twice.drop(columns="ratio"))
