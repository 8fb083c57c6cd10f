"""Which part makes two methods differ, on numbers that can be added up by hand."""

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.page import compare_parts, tell_parts


def race(seeds):
    """KD and CrossKD at two steps: at positives and on background, of each seed."""
    rows = []
    for seed, (kd, crosskd) in enumerate(seeds):
        for method, (own, background) in (("KD", kd), ("CrossKD", crosskd)):
            for step in (10, 20):
                row = {"method": method, "seed": seed, "step": step, "AP": float(step)}
                row |= {"l1_truth_positive": own * 20 / step, "l1_truth_background": background}
                rows.append({**row, "l1_truth": row["l1_truth_positive"] + background})
    return pd.DataFrame(rows)


def test_the_parts_of_the_last_step_add_up():
    table = compare_parts(race([((1.5, 4.0), (1.25, 7.0))])).set_index("where")
    assert table["KD"].tolist() == [5.5, 1.5, 4.0]
    assert table["CrossKD"].tolist() == [8.25, 1.25, 7.0]
    assert table["difference"].tolist() == [-2.75, 0.25, -3.0]
    assert table["half_width"].isna().all() and set(table["n"]) == {1}


def test_the_words_name_the_part_that_decides_and_the_caution():
    text = tell_parts(compare_parts(race([((1.5, 4.0), (1.25, 7.0))])))
    assert "Unlike in Fig. 6(b), KD ends nearer to the truth than CrossKD does." in text
    assert "92% of what makes them differ lies on background." in text  # 3 of 3.25
    assert "At positives alone, KD ends farther from the truth than CrossKD." in text
    assert "One seed" in text


def test_as_in_the_paper_and_decided_at_positives():
    text = tell_parts(compare_parts(race([((2.0, 4.0), (1.0, 4.0))])))
    assert text.count("As in Fig. 6(b), KD ends farther") == 1
    assert "100% of what makes them differ lies at positives." in text


def test_an_interval_over_zero_is_no_order():
    # At positives KD minus CrossKD is +0.5 and -0.5: 0 ± 6.35.
    seeds = [((1.5, 4.0), (1.0, 7.0)), ((1.0, 4.1), (1.5, 7.1))]
    text = tell_parts(compare_parts(race(seeds)))
    assert "At positives alone, KD ends neither surely nearer" in text and "± 6.35" in text
    assert "Over 2 seeds." in text


def test_runs_without_parts_are_refused():
    with pytest.raises(LabError, match="l1_truth_positive"):
        compare_parts(race([((1, 2), (1, 2))]).drop(columns="l1_truth_positive"))
    with pytest.raises(LabError, match="run these students again"):
        compare_parts(race([((1, 2), (1, 2))]).assign(l1_truth_positive=float("nan")))
