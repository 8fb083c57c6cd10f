"""What is said of focus follows from numbers that were set by hand."""

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.claims import FAILED, HELD, OPEN, compare_focus, judge_focus, tell_focus
from crosskd_lab.report.sweep_spec import RECORDED


def frame(kd=0.4, pkd=0.2, jitter=0.01, cosine=-0.5):
    rows = []
    for image in range(4):
        for loss, level in (("detection", 0.9), ("CrossKD", 0.6), ("KD", kd), ("PKD", pkd)):
            value = level + jitter * image * (loss == "CrossKD")
            row = dict(image=image, where="neck", i=0, loss=loss, area=0.25, inside=value)
            rows.append({**row, "gini": value, "cosine": cosine + 0.01 * image})
    return pd.DataFrame(rows)


def test_differences_are_taken_image_by_image():
    table = compare_focus(frame()).set_index(["statistic", "other"])
    row = table.loc["inside", "PKD"]
    # CrossKD 0.60, 0.61, 0.62, 0.63 minus 0.2: mean 0.415, s = 0.0129099, t = 3.182446.
    assert (row["n"], row["crosskd"], row["theirs"]) == (4, pytest.approx(0.615), 0.2)
    assert row["difference"] == pytest.approx(0.415)
    assert row["half_width"] == pytest.approx(3.182446 * 0.0129099 / 2, rel=1e-4)
    assert row["verdict"] == "more focused"
    assert len(table) == 4


def test_all_three_verdicts_in_words():
    text = tell_focus(frame(kd=0.615, pkd=0.9))
    assert "over 4 images (boxes cover 25% of it)" in text
    assert "CrossKD more focused than PKD, Fig. 5's claim: did not hold." in text
    asked = "CrossKD more focused than KD, a question that the paper does not ask: "
    assert f"{asked}not decided by these data." in text
    assert "Fig. 5's claim: held." in tell_focus(frame()) and f"{asked}held." in tell_focus(frame())


def test_both_measures_have_to_say_so():
    part = frame()
    part.loc[part["loss"] == "PKD", "gini"] = 0.9
    assert judge_focus(compare_focus(part)) == OPEN and judge_focus(compare_focus(frame())) == HELD


def test_the_shipped_survey_bears_fig_5_out_at_the_neck():
    survey = pd.read_csv(RECORDED / "figure5" / "gradients.csv")
    compared = compare_focus(survey)
    assert judge_focus(compared) == HELD, "Fig. 5 compares CrossKD with PKD"
    # Against mimicking, which the paper does not claim, the neck and f_3 answer differently.
    assert judge_focus(compared, "KD") == FAILED
    assert judge_focus(compare_focus(survey, "cls", 3), "KD") == HELD


def test_a_cosine_below_zero_is_called_conflict():
    # -0.5, -0.49, -0.48, -0.47: mean -0.485.
    text = tell_focus(frame())
    assert "KD -0.48 ± 0.021" in text and "; surely below 0: CrossKD, KD, PKD." in text
    assert "none is surely below 0" in tell_focus(frame(cosine=0.2))


def test_a_loss_that_does_not_reach_the_feature_is_left_out():
    part = frame()
    part.loc[part["loss"] == "PKD", ["inside", "gini", "cosine"]] = float("nan")
    assert set(compare_focus(part)["other"]) == {"KD"}
    assert "PKD" not in tell_focus(part)


def test_one_image_decides_nothing():
    one = frame()[lambda rows: rows["image"] == 0]
    assert set(compare_focus(one)["verdict"]) == {"undecided"}


def test_an_unmeasured_feature_is_named():
    with pytest.raises(LabError, match="cls, i = 3 was not measured"):
        compare_focus(frame(), "cls", 3)
