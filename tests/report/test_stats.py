"""Means, intervals, paired tests and rank correlations against hand-computed values."""

import math

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.files import PROJECT
from crosskd_lab.report.results import whole_again
from crosskd_lab.report.stats import (
    STRAY,
    Paired,
    by_pair,
    find_ordering,
    paired,
    points,
    summarise,
    tell_ordering,
    visible_order,
)

# Quantiles 0.975 of Student's t with 1 and 2 degrees of freedom, from a printed table.
T1, T2 = 12.706205, 4.302653


def runs(**values):
    """A row a run: method to its values under seeds 0, 1, ..."""
    rows = [
        {"method": method, "seed": seed, "AP": ap}
        for method, aps in values.items()
        for seed, ap in enumerate(aps)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((19.06, 2.04), "19.1 ± 2.0"),
        ((10.07, 0.14), "10.1 ± <0.6"),
        ((-0.04, 0.9, "+"), "+0.0 ± 0.9"),
        ((0.95, 0.913, "+"), "+0.95 ± 0.91"),
        ((0.9, 0.87), "0.9 ± 0.9"),
        ((5.0,), "5.0"),
        ((math.nan,), "–"),
    ],
)
def test_no_interval_is_printed_that_is_narrower_than_a_rerun_strays(numbers, said):
    assert points(*numbers) == said


def test_the_least_interval_is_what_whole_reruns_strayed_by():
    apart = whole_again()["apart"].max()
    assert STRAY - 0.1 < apart <= STRAY
    for text in ("docs/regime.md", "notebooks/13_what_held.ipynb"):
        assert f"below {STRAY}" in (PROJECT / text).read_text("utf-8")


def test_summary_by_hand():
    # 1, 2, 3: mean 2, s = 1. 10, 14: mean 12, s = sqrt(8).
    table = summarise(runs(KD=[1.0, 2.0, 3.0], CrossKD=[10.0, 14.0], none=[5.0]), "method")
    assert table["method"].tolist() == ["KD", "CrossKD", "none"]
    assert table["n"].tolist() == [3, 2, 1]
    assert table["mean"].tolist() == [2.0, 12.0, 5.0]
    assert table["half_width"][0] == pytest.approx(T2 / math.sqrt(3), rel=1e-6)
    assert table["half_width"][1] == pytest.approx(T1 * math.sqrt(8) / math.sqrt(2), rel=1e-6)
    assert math.isnan(table["half_width"][2])


def test_unfinished_runs_and_missing_values_do_not_count_and_sources_are_not_mixed():
    frame = runs(KD=[1.0, 3.0, 100.0, float("nan")])
    frame["status"] = ["done", "done", "failed", "done"]
    paper = pd.DataFrame({"source": ["paper"], "method": ["KD"], "AP": [43.7]})
    table = summarise(pd.concat([frame.assign(source="yours"), paper]), "method")
    assert table[["source", "n", "mean"]].to_numpy().tolist() == [
        ["yours", 2, 2.0],
        ["paper", 1, 43.7],
    ]


def test_a_seed_twice_is_no_repetition():
    frame = pd.concat([runs(KD=[1.0]), runs(KD=[2.0])])
    with pytest.raises(LabError, match="several runs of method KD, seed 0"):
        summarise(frame, "method")
    paper = pd.DataFrame({"source": "paper", "method": ["CrossKD"] * 2, "AP": [38.2, 38.7]})
    with pytest.raises(LabError, match="several runs of source paper, method CrossKD"):
        summarise(paper, "method")


def test_a_missing_column_is_named():
    with pytest.raises(LabError, match=r"has no AP75: it has method, seed, AP"):
        summarise(runs(KD=[1.0]), "method", "AP75")


def test_paired_by_hand():
    # Differences 1, 2, 3: mean 2, s = 1, t = 2 sqrt(3) = 3.4641 with 2 degrees of freedom, for
    # which P(|T| > t) = 1 - t / sqrt(t^2 + 2) = 0.0741799. Of the 8 sign flips, 2 reach |mean| 2.
    found = paired(runs(CrossKD=[11.0, 22.0, 33.0], KD=[10.0, 20.0, 30.0]), "CrossKD", "KD")
    assert (found.n, found.difference) == (3, 2.0)
    assert found.half_width == pytest.approx(T2 / math.sqrt(3), rel=1e-6)
    assert found.p_t == pytest.approx(1 - math.sqrt(12 / 14), rel=1e-9)
    assert found.p_sign_flip == pytest.approx(2 / 8)


def test_sign_flips_counted_by_hand():
    # 1, -2, 3 sums to 2; of the eight sums ±1±2±3 = ±6, ±4, ±2, 0, 0 six are at least 2 in size.
    found = paired(runs(CrossKD=[1.0, -2.0, 3.0], KD=[0.0] * 3), "CrossKD", "KD")
    assert found.p_sign_flip == pytest.approx(6 / 8)
    # Ten differences of one sign: 2 of 1024.
    found = paired(runs(CrossKD=[1.0 + k for k in range(10)], KD=[0.0] * 10), "CrossKD", "KD")
    assert found.p_sign_flip == pytest.approx(2 / 1024)


def test_only_common_seeds_are_paired_and_equal_or_single_ones_show_nothing():
    found = paired(runs(CrossKD=[5.0, 6.0, 90.0], KD=[1.0, 3.0]), "CrossKD", "KD")
    assert (found.n, found.difference) == (2, 3.5)
    equal = paired(runs(CrossKD=[1.0, 2.0], KD=[1.0, 2.0]), "CrossKD", "KD")
    assert equal == Paired(2, 0.0, 0.0, 1.0, 1.0)
    single = paired(runs(CrossKD=[5.0], KD=[1.0]), "CrossKD", "KD")
    assert (single.n, single.difference, single.p_sign_flip) == (1, 4.0, 1.0)
    assert math.isnan(single.half_width) and math.isnan(single.p_t)


def test_what_cannot_be_paired():
    frame = runs(CrossKD=[5.0], KD=[1.0])
    with pytest.raises(LabError, match="no seed in common"):
        paired(frame, "CrossKD", "PKD")
    frame["source"] = ["yours", "recorded"]
    with pytest.raises(LabError, match="several sources"):
        paired(frame, "CrossKD", "KD")
    with pytest.raises(LabError, match="several runs of method KD, seed 0"):
        paired(runs(KD=[1.0]).loc[[0, 0]], "CrossKD", "KD")


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
    # Of 3! = 6 orders, 1 has rho = 1 and 1 has rho = -1.
    assert found.rho == pytest.approx(1)
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
    said = tell_ordering(find_ordering(mixed))
    assert "no prediction is shown" in said and "a true order of next to 1 eight times" in said


@pytest.mark.parametrize("n", [16, 30])
def test_what_so_many_pairs_can_see_is_what_fishers_z_says(n):
    """Of atanh(rho), near normal with variance 1.06 / (n - 3): 1.96 + 0.84 of its deviations."""
    told = math.tanh((1.96 + 0.8416) * math.sqrt(1.06 / (n - 3)))
    assert visible_order(n) == pytest.approx(told, abs=0.03)
    frame_of = frame(**{f"p{k}": (k, [(k * 7) % n + 0.0]) for k in range(n)})
    assert f"a true order of {visible_order(n):.2f} or more" in tell_ordering(
        find_ordering(frame_of)
    )


def test_few_pairs_see_only_what_is_all_but_perfect():
    assert math.isnan(visible_order(4)) and visible_order(7) > 0.9


@pytest.mark.parametrize(
    "pairs", [{}, {"a": (0.1, [1.0])}, {n: (0.1, [k]) for k, n in enumerate("abc")}]
)
def test_too_few_or_equal_pairs_have_no_order(pairs):
    said = f"too few unlike pairs ({len(pairs)}): there is no order to judge."
    assert tell_ordering(find_ordering(frame(**pairs))) == said


def test_a_missing_ratio_is_named():
    with pytest.raises(LabError, match="no ratio"):
        by_pair(THREE.drop(columns="ratio"))
