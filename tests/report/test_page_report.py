"""The paragraph on a race says what the frame holds, whichever way it turned out."""

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.report.page import report_paragraph


def race(ap, l1_teacher=None, l1_truth=None, steps=(100, 200)):
    """A frame from the final values, method to one value a seed; earlier steps are worse."""
    rows = []
    for method, values in ap.items():
        for seed, value in enumerate(values):
            for step in steps:
                last = step == steps[-1]
                row = {"method": method, "seed": seed, "step": step}
                row["AP"] = value if last else value / 10
                if l1_teacher:
                    row["l1_teacher"] = l1_teacher[method][seed] * (1 if last else 3)
                    row["l1_truth"] = l1_truth[method][seed] * (1 if last else 3)
                rows.append(row)
    return pd.DataFrame(rows)


LIKE_THE_PAPER = {
    "ap": {"none": [18.0], "KD": [20.0], "CrossKD": [26.0]},
    "l1_teacher": {"none": [0.03], "KD": [0.01], "CrossKD": [0.02]},
    "l1_truth": {"none": [0.04], "KD": [0.06], "CrossKD": [0.05]},
}
UNLIKE_THE_PAPER = {
    "ap": {"none": [22.0], "KD": [20.0], "CrossKD": [19.0]},
    "l1_teacher": {"none": [0.03], "KD": [0.02], "CrossKD": [0.01]},
    "l1_truth": {"none": [0.04], "KD": [0.05], "CrossKD": [0.06]},
}


def test_one_seed_like_the_paper():
    text = report_paragraph(race(**LIKE_THE_PAPER), teacher_ap=41.7, setting="Pocket students")
    assert text.startswith(
        "Pocket students: none, KD and CrossKD, 1 seed each, compared after 200 steps."
    )
    assert "Final AP: CrossKD 26.0, KD 20.0 and none 18.0; the teacher has 41.7." in text
    assert (
        "One seed: a difference of 6.0 AP (CrossKD above KD) here is an observation, not a result."
    ) in text
    assert "Order of final AP: CrossKD > KD > none" in text
    assert "that is the order of the paper's Table 1 (none 35.8, LD 37.8 and CrossKD 38.7)." in text
    assert (
        "As in Fig. 6(a), KD ends nearest to the teacher: L1(p^s, p^t) per positive location 0.01, "
        "against 0.02 for CrossKD."
    ) in text
    assert (
        "As in Fig. 6(b), KD ends farther from the ground truth than CrossKD: "
        "L1(p^s, p^gt) 0.06 against 0.05."
    ) in text
    assert "±" not in text and "interval" not in text
    assert "\n" not in text


def test_one_seed_unlike_the_paper():
    text = report_paragraph(race(**UNLIKE_THE_PAPER))
    assert "One seed: a difference of 1.0 AP (CrossKD below KD)" in text
    assert "Order of final AP: none > KD > CrossKD" in text
    assert "that is not the order of the paper's Table 1" in text
    assert "Unlike in Fig. 6(a), KD does not end nearest to the teacher" in text
    assert "0.02, against 0.01 for CrossKD" in text
    assert "Unlike in Fig. 6(b), KD does not end farther from the ground truth" in text
    assert "0.05 against 0.06" in text
    assert "As in Fig." not in text and "teacher has" not in text


def test_equal_values_are_no_order():
    text = report_paragraph(race({"none": [18.0], "KD": [18.0], "CrossKD": [20.0]}))
    assert "CrossKD > none = KD" in text
    assert "that is not the order" in text


def test_several_seeds_that_show_a_difference():
    # Differences 5, 6, 7: 6.0 ± 4.302653 / sqrt(3) = 2.5.
    ap = {"none": [10.0, 11.0, 12.0], "KD": [15.0, 15.0, 15.0], "CrossKD": [20.0, 21.0, 22.0]}
    text = report_paragraph(race(ap))
    assert "3 seeds each" in text
    assert "CrossKD 21.0 ± 2.5, KD 15.0 ± <0.6 and none 11.0 ± 2.5" in text
    assert "Over 3 common seeds CrossKD ends 6.0 ± 2.5 AP above KD" in text
    assert "the interval excludes zero" in text
    assert "cannot bring below 0.25" in text
    assert "3 of 3 seeds has that order" not in text
    assert "; 3 of 3 seeds have that order." in text
    assert "observation" not in text


def test_several_seeds_that_show_none():
    # Differences -1, 0, 2: mean 1/3, s = 1.5275, half width 3.79.
    ap = {"KD": [15.0, 15.0, 15.0], "CrossKD": [14.0, 15.0, 17.0]}
    text = report_paragraph(race(ap))
    assert "CrossKD ends 0.3 ± 3.8 AP above KD" in text
    assert "the interval includes zero, so no difference is shown" in text
    assert "; 1 of 3 seeds have that order." in text


def test_single_seeds_that_disagree_with_the_mean_are_counted():
    frame = race(
        {"KD": [15.0, 15.0], "CrossKD": [20.0, 21.0]},
        l1_teacher={"KD": [0.01, 0.03], "CrossKD": [0.05, 0.02]},
        l1_truth={"KD": [0.04, 0.09], "CrossKD": [0.05, 0.05]},
    )
    text = report_paragraph(frame)
    assert "As in Fig. 6(a)" in text and "0.035 for CrossKD; 1 of 2 seeds agree with it." in text
    assert "As in Fig. 6(b)" in text and "0.065 against 0.05; 1 of 2 seeds agree with it." in text


def test_other_methods_are_compared_best_against_worst():
    text = report_paragraph(race({"none": [18.0], "PKD": [25.0]}))
    assert "difference of 7.0 AP (PKD above none)" in text
    assert "Order of final AP: PKD > none." in text
    assert "Table 1" not in text
    assert "distance to the teacher was not measured" in text
    assert "distance to the ground truth was not measured" in text


def test_a_single_method_is_compared_with_nothing():
    text = report_paragraph(race({"CrossKD": [18.0]}))
    assert "Final AP: CrossKD 18.0." in text
    assert "Order" not in text and "difference" not in text


def test_only_evaluations_count_as_final():
    frame = race({"none": [18.0], "KD": [20.0]})
    frame.loc[len(frame)] = {"method": "none", "seed": 0, "step": 210, "AP": None}
    assert "compared after 200 steps" in report_paragraph(frame)


def test_unequal_lengths_are_said():
    frame = pd.concat([race({"none": [18.0]}), race({"KD": [20.0]}, steps=(100, 150))])
    text = report_paragraph(frame)
    assert "not equally long (last evaluated step: none 200 and KD 150)" in text


def test_what_cannot_be_reported():
    frame = race({"none": [18.0]})
    with pytest.raises(LabError, match="nothing has been evaluated"):
        report_paragraph(frame.assign(AP=float("nan")))
    with pytest.raises(LabError, match="has no AP"):
        report_paragraph(frame.drop(columns="AP"))
    with pytest.raises(LabError, match="none with seed 0 is in the race twice"):
        report_paragraph(pd.concat([frame, frame]))


def test_methods_that_tie_are_two_methods():
    frame = pd.DataFrame(
        {"method": ["none", "CrossKD"] * 2, "seed": [0, 0, 1, 1], "step": 3, "AP": 0.0}
    )
    assert "0.0 ± <0.6 AP below" in report_paragraph(frame) and "includes zero" in report_paragraph(
        frame
    )


@pytest.mark.parametrize(
    ("kinds", "ap", "said"),
    [
        (("ATSS", "GFL"), (20.0, 18.0, 26.0), "is the order of the paper's Table 7 (KD 39.7, none"),
        (
            ("RetinaNet", "GFL"),
            (20.0, 22.0, 26.0),
            "is not the order of the paper's Table 7 (KD 30",
        ),
        (("FCOS", "FCOS"), (20.0, 22.0, 26.0), "Table 6 (none 38.5 and CrossKD 41.3)"),
        (("GFL", "ATSS"), (20.0, 22.0, 26.0), "The paper has no ATSS student of a GFL teacher."),
    ],
)
def test_a_pair_is_held_against_its_own_table(kinds, ap, said):
    ends = {name: [value] for name, value in zip(("none", "KD", "CrossKD"), ap, strict=True)}
    text = report_paragraph(race(ends), kinds=kinds)
    assert said in text
    assert "Table 1" not in text
    assert ("values cannot" in text) == (kinds != ("GFL", "ATSS"))
