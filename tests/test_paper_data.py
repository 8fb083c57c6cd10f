"""The paper's numbers against a second reading, typed from the paper apart from the files."""

import hashlib

import pandas as pd
import pytest

from crosskd_lab.files import PROJECT
from crosskd_lab.paper import AP_COLUMNS, paper_table

PAPER = PROJECT / "data" / "paper"

# A table a string, a row a line: AP, AP50, AP75, APS, APM, APL as printed (Table 3: the first
# three, for LD and then for CrossKD).
SECOND_READING = {
    1: """35.8 53.1 38.2 18.9 38.9 47.9
          38.2 55.6 41.3 20.2 41.9 50.9
          38.3 55.8 41.1 20.8 42.1 49.8
          38.6 56.2 41.5 20.8 42.7 50.7
          38.7 56.3 41.6 21.1 42.2 51.1
          38.2 55.7 41.2 20.3 41.9 50.2
          37.8 55.5 40.5 20.0 41.4 49.5""",
    2: """35.8 53.1 38.2 18.9 38.9 47.9
          38.0 55.0 41.2 19.6 41.5 50.2
          37.5 54.9 40.5 19.5 41.1 50.5
          37.2 54.0 40.2 19.0 40.9 50.0
          37.3 54.3 40.0 19.2 41.1 49.8
          38.7 56.3 41.6 21.1 42.2 51.1""",
    3: """37.3 55.2 40.0
          36.8 53.8 39.6
          37.8 55.4 40.5
          37.7 55.6 40.2
          37.2 54.0 40.0
          38.7 56.3 41.6""",
    4: """35.8 53.1 38.2 18.9 38.9 47.9
          38.7 56.3 41.6 21.1 42.2 51.1
          37.8 55.5 40.5 20.0 41.4 49.5
          38.1 55.6 40.9 20.4 41.6 51.1""",
    5: """44.9 63.1 49.0 28.0 49.1 57.2
          40.2 58.4 43.3 23.3 44.0 52.2
          40.7 58.6 44.0 23.7 44.4 53.2
          40.7 58.6 44.2 23.1 44.5 53.5
          40.8 58.6 44.2 24.3 44.6 53.7
          41.1 58.7 44.4 24.1 44.6 53.6
          41.1 58.8 44.8 23.3 45.4 53.1
          41.3 58.8 44.8 24.5 45.6 53.0
          41.5 59.6 45.2 24.3 45.7 53.6
          42.3 60.2 45.9 24.4 46.7 55.6
          43.0 61.6 46.6 25.5 47.0 55.8
          43.3 61.3 46.9 25.2 47.9 56.2
          43.7 62.1 47.4 26.9 48.0 56.2
          43.9 62.0 47.7 26.4 48.5 57.0""",
    6: """38.9 58.0 41.5 21.0 32.8 52.4
          37.4 56.7 39.6 20.0 40.7 49.7
          39.7 58.9 42.5 22.4 43.6 52.8
          40.8 60.0 44.0 24.2 44.3 52.4
          38.5 57.7 41.0 21.9 42.8 48.6
          41.3 60.6 44.2 25.1 45.5 52.4
          41.5 59.9 45.2 24.2 45.9 53.3
          39.4 57.6 42.8 23.6 42.9 50.3
          41.8 60.1 45.4 24.9 45.9 54.2""",
    7: """40.2 58.4 43.3 23.3 44.0 52.2
          41.5 59.9 45.2 24.2 45.9 53.3
          39.7 57.9 42.8 21.8 44.2 51.5
          42.1 60.5 45.7 24.5 46.3 54.5
          40.2 58.4 43.3 23.3 44.0 52.2
          38.9 58.0 41.5 21.0 32.8 52.4
          30.3 49.2 31.2 20.0 38.1 34.4
          41.2 59.4 44.8 24.0 45.1 53.5""",
    8: """37.3 57.5 39.9 22.7 41.0 49.6
          36.5 55.4 39.1 20.4 40.3 48.1
          37.2 56.7 39.5 21.2 41.2 49.7
          38.0 58.1 40.5 23.1 41.8 49.7
          36.5 55.4 39.1 20.4 40.3 48.1
          30.9 48.7 32.5 16.3 33.5 41.9
          33.2 51.3 35.0 16.5 36.6 46.5
          34.1 52.7 36.5 18.8 37.1 45.4""",
}

# The rows' own words in the order of the paper, shortened: teacher's and student's own results
# by T and S, everything else by the method and, where there is one, the position.
ROWS = {
    1: "S CrossKD:0 CrossKD:1 CrossKD:2 CrossKD:3 CrossKD:4 LD",
    2: "S PKD:neck PKD:cls PKD:reg PKD:cls+reg CrossKD",
    3: "LD:cls LD:reg LD:cls+reg CrossKD:cls CrossKD:reg CrossKD:cls+reg",
    4: "S CrossKD LD CrossKD+LD",
    5: "T S FitNets Inside_GT_Box DeFeat Main_Region Fine-Grained FGD GID SKD LD PKD CrossKD "
    "CrossKD+PKD",
    6: "T S CrossKD T S CrossKD T S CrossKD",
    7: "S T KD CrossKD S T KD CrossKD",
    8: "T S PKD CrossKD T S PKD CrossKD",
}


@pytest.mark.parametrize("number", range(1, 9))
def test_every_number_agrees_with_the_second_reading(number):
    typed = [[float(word) for word in line.split()] for line in SECOND_READING[number].splitlines()]
    table = paper_table(number)
    given = AP_COLUMNS[: len(typed[0])]
    assert table[given].to_numpy().tolist() == typed
    assert table[[name for name in AP_COLUMNS if name not in given]].isna().all(axis=None)


@pytest.mark.parametrize("number", range(1, 9))
def test_every_row_is_named_as_in_the_paper(number):
    names = []
    for row in paper_table(number).itertuples():
        method = row.method.replace(" ", "_") + (f":{row.position}" if row.position else "")
        names.append({"teacher": "T", "student": "S", "distilled": method}[row.role])
    assert names == ROWS[number].split()
    assert paper_table(number)["row"].tolist() == list(range(1, len(names) + 1))


def test_pairs_of_tables_with_several():
    pairs = {
        6: [("RetinaNet-R101", "RetinaNet-R50"), ("FCOS-R101", "FCOS-R50")]
        + [("ATSS-R101", "ATSS-R50")],
        7: [("ATSS-R101", "GFL-R50"), ("RetinaNet-R101", "GFL-R50")],
        8: [("RetinaNet-SwinT", "RetinaNet-R50"), ("RetinaNet-R50", "RetinaNet-MobileNetV2")],
    }
    for number, expected in pairs.items():
        found = paper_table(number)[["teacher", "student"]].drop_duplicates()
        assert list(found.itertuples(index=False, name=None)) == expected


def test_the_arrows_of_table_5_are_gains_over_the_student():
    table = paper_table(5)
    arrows = [0.5, 0.5, 0.6, 0.9, 0.9, 1.1, 1.3, 2.1, 2.8, 3.1, 3.5, 3.7]
    assert table["gain"].isna().tolist() == [True] * 2 + [False] * 12
    assert table["gain"].dropna().tolist() == arrows
    assert (table["AP"] - 40.2).round(1)[2:].tolist() == table["gain"][2:].tolist()


def test_gains_that_the_text_states():
    def gain(number, first, second):
        ap = paper_table(number).set_index("row")["AP"]
        return round(ap[first] - ap[second], 1)

    assert gain(1, 5, 7) == 0.9 and gain(1, 2, 7) == 0.4  # i = 3 and the worst i against LD
    assert gain(2, 6, 2) == 0.7  # CrossKD against PKD on the neck
    assert (gain(6, 3, 2), gain(6, 6, 5), gain(6, 9, 8)) == (2.3, 2.8, 2.4)
    assert (gain(7, 4, 1), gain(7, 8, 5)) == (1.9, 1.0)
    assert (gain(8, 4, 2), gain(8, 4, 3), gain(8, 8, 6), gain(8, 8, 7)) == (1.5, 0.8, 3.2, 0.9)


def test_figures_hold_only_what_the_text_says():
    facts = pd.read_csv(PAPER / "figures.csv", dtype=str, keep_default_na=False)
    assert set(facts["figure"]) == {"3", "5", "6"}
    assert facts[facts["value"] != ""]["value"].tolist() == ["0.5", "37.8"]
    sixth = facts[facts["figure"] == "6"].set_index(["panel", "smaller"])["larger"]
    assert sixth["a", "KD"] == "CrossKD" and sixth["b", "CrossKD"] == "KD"


def test_disagreeing_sources_keep_both_numbers():
    sources = pd.read_csv(PAPER / "sources.csv", dtype=str, keep_default_na=False)
    pairs = sources.set_index("where")[["paper", "other"]].apply(tuple, axis=1)
    assert pairs["Table 6, FCOS-R101 to FCOS-R50, CrossKD"] == ("41.3", "41.1")
    assert pairs["Table 5, GFL-R101 (T)"] == ("44.9", "44.7")
    assert pairs["Tables 1 and 4, LD; Table 3, LD on cls+reg"] == ("55.5", "55.4")
    assert pairs["Table 5, FGD"] == ("41.3", "43.5")
    assert pairs["Table 5, LD"] == ("43.0", "42.1")
    assert (sources["note"] != "").all()


def test_no_number_of_the_missing_supplement():
    words = "".join((PAPER / f"table{number}.csv").read_text() for number in range(1, 9)).lower()
    assert "faster" not in words and "detr" not in words


def test_checksums():
    pinned = dict(
        reversed(line.split()) for line in (PAPER / "SHA256SUMS").read_text().splitlines()
    )
    assert set(pinned) == {path.name for path in PAPER.glob("*.csv")}
    for name, checksum in pinned.items():
        assert hashlib.sha256((PAPER / name).read_bytes()).hexdigest() == checksum, name
