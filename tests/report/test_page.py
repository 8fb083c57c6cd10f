"""The page of results and the paragraph on a race say what the records say."""

import json
import math

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.files import append_line
from crosskd_lab.report.page import (
    conflict_table,
    report_paragraph,
    results_page,
    sweep_section,
    sweep_table,
)
from crosskd_lab.report.sweep_spec import read_sweep


def record(folder, name, date="", shared=False, **values):
    """AP by row of a sweep, a value a seed."""
    rows = {row.name: row for row in read_sweep(name).rows}
    for row, aps in values.items():
        for seed, ap in enumerate(aps):
            line = {"row": row, "key": rows[row].key, "seed": seed, "status": "done", "AP": ap}
            line |= {"method": [], "steps": 240, "step_seconds": 0.25, "date": date}
            append_line(folder / f"{name}.jsonl", line | {"shared": shared})


def test_a_sweep_in_words(tmp_path):
    record(tmp_path, "table4", none=[10, 11, 12], kd=[12, 13, 14], crosskd=[15, 16])
    text = sweep_section("table4", tmp_path)
    lines = text.splitlines()
    assert lines[0] == "## Table 4: plain mimicking added back to CrossKD"
    assert lines[2].startswith("`crosskd_kd` has both losses; `crosskd_double` and `kd_double`,")
    # t(0.975, 2) = 4.303: a standard deviation of 1 over three seeds is 2.5
    assert "| none | 11.0 ± 2.5 (3) | – | -2.0 ± <0.6 (3) | 240 | 0.25 | never |" in lines
    assert "| kd | 13.0 ± 2.5 (3) | +2.0 ± <0.6 (3) | – | 240 | 0.25 | never |" in lines
    assert (
        "| crosskd | 15.5 ± 6.4 (2 of 3) | +5.0 ± <0.6 (2) | +3.0 ± <0.6 (2) | 240 | 0.25 | never |"
        in lines
    )
    assert "| crosskd_kd | – | – | – | – | – | never |" in lines
    assert "stale" not in text


def test_a_table_in_the_slow_regime_is_shown_once_a_row_of_its_own_is_recorded(tmp_path):
    record(tmp_path, "regime", none=[30], kd=[40], crosskd=[42])
    title = "## Table 4: plain mimicking added back to CrossKD, in the slow regime"
    assert title not in results_page(tmp_path)
    record(tmp_path, "table4_slow", crosskd_kd=[44])
    page = results_page(tmp_path)
    lines = page.splitlines()
    section = lines[lines.index(title) :]
    rows = section[next(i for i, line in enumerate(section) if line.startswith("| row")) :]
    assert rows[2].startswith("| none | 30.0 (1 of 3)")
    assert rows[5].startswith("| crosskd_kd | 44.0 (1 of 3) | +14.0 (1) | +4.0 (1) |")
    assert (
        "## Table 1: the layer i whose feature is delivered to the teacher's head, in" not in page
    )


def test_superseded_rows_are_listed_with_what_they_were(tmp_path):
    record(tmp_path, "table5", date="2026-11-21T00:00:00Z", gid=[5, 6], ld=[7])
    entry = {"sweep": "table5", "row": "gid", "before": "2026-11-28", "reason": "other places"}
    (tmp_path / "superseded.json").write_text(json.dumps([entry]))
    assert "| table5 | gid | 5.5 (2) | other places |" in results_page(tmp_path)


def test_a_shared_machines_time_is_not_told(tmp_path):
    record(tmp_path, "table4", none=[10])
    record(tmp_path, "table4", shared=True, kd=[12])
    lines = sweep_section("table4", tmp_path).splitlines()
    assert "| none | 10.0 (1 of 3) | – | -2.0 (1) | 240 | 0.25 | never |" in lines
    assert "| kd | 12.0 (1 of 3) | +2.0 (1) | – | 240 | – | never |" in lines


def test_a_stale_row_says_so():
    row = {"row": "kd", "n": 1, "seeds": 3, "mean": 10.0, "half_width": math.nan}
    row |= {"to_none": -1.25, "to_none_half": math.nan, "to_kd": math.nan, "to_kd_half": math.nan}
    row |= {"to_none_n": 1, "to_kd_n": 0}
    row |= {"steps": 240.0, "step_seconds": 0.3, "checked": "never", "stale": "other losses"}
    (line,) = sweep_table(pd.DataFrame([row])).to_dict("records")
    assert line["stale"] == "other losses"
    assert (line["AP"], line["to none"], line["to KD"]) == ("10.0 (1 of 3)", "-1.2 (1)", "–")


def test_nothing_recorded_says_how_to_record(tmp_path):
    assert "`crosskd-lab sweep table6` records it" in sweep_section("table6", tmp_path)
    page = results_page(tmp_path)
    assert page.index("## Table 8") < page.index("## The fine print")
    assert "## Fig. 3" not in page and "smoke" not in page
    assert page.count("not decided by these data") == page.count("| 0 seeds |\n")


def test_conflict_ratios_keep_the_order_of_the_analysis():
    rows = [(t, "all", th, r) for t, r in (("b", 0.5), ("a", 0.25)) for th in (0.3, 0.5, 0.7, 0.9)]
    frame = pd.DataFrame(rows, columns=["teacher", "by", "threshold", "ratio"])
    table = conflict_table(frame)
    assert table.columns.tolist() == ["teacher", "above 0.3", "above 0.5", "above 0.7"]
    assert table.to_numpy().tolist() == [["b", *["0.500"] * 3], ["a", *["0.250"] * 3]]


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
        "As in Fig. 6(a), KD ends nearer to the teacher than CrossKD: L1 per positive location "
        "0.01 against 0.02. As in Fig. 6(b), KD ends farther from the ground truth than CrossKD: "
        "L1 per positive location 0.06 against 0.05."
    ) in text
    assert "±" not in text and "interval" not in text
    assert "\n" not in text


def test_one_seed_unlike_the_paper():
    text = report_paragraph(race(**UNLIKE_THE_PAPER))
    assert "One seed: a difference of 1.0 AP (CrossKD below KD)" in text
    assert "Order of final AP: none > KD > CrossKD" in text
    assert "that is not the order of the paper's Table 1" in text
    assert "Unlike in Fig. 6(a), KD does not end nearer to the teacher" in text
    assert "0.02 against 0.01" in text
    assert "Unlike in Fig. 6(b), KD does not end farther from the ground truth" in text
    assert "0.05 against 0.06" in text
    assert "As in Fig." not in text and "teacher has" not in text


SAID = {
    "equal values": (
        {"none": [18.0], "KD": [18.0], "CrossKD": [20.0]},
        ["> KD = none", "is not the"],
    ),
    # Differences 5, 6, 7: 6.0 ± 4.302653 / sqrt(3) = 2.5.
    "a difference": (
        {"none": [10.0, 11, 12], "KD": [15.0, 15, 15], "CrossKD": [20.0, 21, 22]},
        [
            "3 seeds each",
            "CrossKD 21.0 ± 2.5, KD 15.0 ± <0.6 and none 11.0 ± 2.5",
            "Over 3 common seeds CrossKD ends 6.0 ± 2.5 AP above KD: the interval excludes zero (",
            "cannot bring below 0.25",
            "; 3 of 3 seeds have that order.",
        ],
    ),
    # Differences -1, 0, 2: mean 1/3, s = 1.5275, half width 3.79.
    "no difference": (
        {"KD": [15.0, 15, 15], "CrossKD": [14.0, 15, 17]},
        [
            "CrossKD ends 0.3 ± 3.8 AP above KD: the interval includes zero, so no difference is",
            "; 1 of 3 seeds have that order.",
        ],
    ),
    # Differences 0.4, 0.5, 0.6: 0.5 ± 0.25, less than what whole runs made again differ by.
    "seeds that agree by luck": (
        {"KD": [10.0] * 3, "CrossKD": [10.4, 10.5, 10.6]},
        ["CrossKD ends 0.5 ± <0.6 AP above KD", "up to 0.6 apart, so no difference is shown"],
    ),
    # Differences 0.987 and 1.153: 1.07 ± 12.706 * 0.083 = 1.05, by one decimal as much as itself.
    "two seeds": (
        {"KD": [10.0, 10], "CrossKD": [10.987, 11.153]},
        [
            "CrossKD ends 1.07 ± 1.05 AP above KD",
            "excludes zero, but fewer than three seeds decide nothing",
        ],
    ),
    "methods that tie": (
        {"none": [0.0, 0], "CrossKD": [0.0, 0]},
        ["0.0 ± <0.6 AP below", "includes zero"],
    ),
    "other methods": (
        {"none": [18.0], "PKD": [25.0]},
        [
            "difference of 7.0 AP (PKD above none)",
            "Order of final AP: PKD > none.",
            "Whether KD ends nearer to the teacher, Fig. 6(a), was not measured.",
            "farther from the ground truth, Fig. 6(b), was not measured",
        ],
    ),
    "one alone": ({"CrossKD": [18.0]}, ["Final AP: CrossKD 18.0. Whether"]),
}


@pytest.mark.parametrize("case", SAID)
def test_what_a_race_showed_and_what_it_did_not(case):
    ap, said = SAID[case]
    text = report_paragraph(race(ap))
    assert [words for words in said if words not in text] == [], text


def test_single_seeds_that_disagree_with_the_mean_are_counted():
    frame = race(
        {"KD": [15.0, 15.0], "CrossKD": [20.0, 21.0]},
        l1_teacher={"KD": [0.01, 0.03], "CrossKD": [0.05, 0.02]},
        l1_truth={"KD": [0.04, 0.09], "CrossKD": [0.05, 0.05]},
    )
    text = report_paragraph(frame)
    assert "As in Fig. 6(a)" in text and "0.02 against 0.035; 1 of 2 seeds agree." in text
    assert "As in Fig. 6(b)" in text and "0.065 against 0.05; 1 of 2 seeds agree." in text


def test_only_evaluations_count_as_final_and_unequal_lengths_are_said():
    frame = race({"none": [18.0], "KD": [20.0]})
    frame.loc[len(frame)] = {"method": "none", "seed": 0, "step": 210, "AP": None}
    assert "compared after 200 steps" in report_paragraph(frame)
    unlike = pd.concat([race({"none": [18.0]}), race({"KD": [20.0]}, steps=(100, 150))])
    assert "not equally long (last evaluated step: none 200 and KD 150)" in report_paragraph(unlike)


def test_what_cannot_be_reported():
    frame = race({"none": [18.0]})
    with pytest.raises(LabError, match="nothing has been evaluated"):
        report_paragraph(frame.assign(AP=float("nan")))
    with pytest.raises(LabError, match="has no AP"):
        report_paragraph(frame.drop(columns="AP"))
    with pytest.raises(LabError, match="none with seed 0 is in the race twice"):
        report_paragraph(pd.concat([frame, frame]))


@pytest.mark.parametrize(
    ("kinds", "ap", "said"),
    [
        (("ATSS", "GFL"), (20.0, 18.0, 26.0), "is the order of the paper's Table 7 (KD 39.7, none"),
        (("RetinaNet", "GFL"), (20.0, 22.0, 26.0), "is not the order of the paper's Table 7 (KD"),
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
