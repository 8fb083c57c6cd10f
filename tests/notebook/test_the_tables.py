"""Notebook 07: tables with their origins, orders compared, rows made again."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.notebook.the_tables import (
    check_agreement,
    commands,
    made_again,
    origin,
    read_tables,
    rows_beside,
    tell_order,
)
from crosskd_lab.report.sweep_spec import append_line, read_sweep


def record(folder, **aps):
    rows = {row.name: row for row in read_sweep("table1").rows}
    types = {"none": [], "kd": ["PredictionMimicking"]}
    for name, ap in aps.items():
        line = {"row": name, "key": rows[name].key, "seed": 0, "status": "done", "AP": ap}
        line |= {"method": [{"type": t} for t in types.get(name, ["CrossKD"])]}
        append_line(folder / "table1.jsonl", {**line, "steps": 240})


@pytest.fixture
def recorded(tmp_path):
    record(tmp_path, none=10.0, kd=14.0, crosskd_3=13.0, crosskd_0=12.0)
    return tmp_path


def test_every_row_has_an_origin(recorded, tmp_path):
    key = next(row.key for row in read_sweep("table1").rows if row.name == "crosskd_3")
    check = {"recorded": None, "date": "2026-11-28T01:02:03Z", "difference": None}
    (recorded / "confirmed.json").write_text(json.dumps({key: {"0": check}}))
    tables = read_tables("smoke", tmp_path / "none of mine", recorded)
    assert [number for number, _ in tables] == list(range(1, 9))
    frame = tables[1, "AP"]
    assert set(frame["source"]) == {"paper", "recorded"}
    row = frame.query("variant == 'crosskd_3'")["origin"].item()
    assert "recorded sweep table1, row crosskd_3, 1 seed:" in row
    assert "drawn scenes, test split; stale: other losses, 2026-11-28" in row
    assert frame["origin"][0] == "Table 1 of the paper, on COCO minival (data/paper/table1.csv)"
    with pytest.raises(LabError, match="scale = 'big'"):
        read_tables("big")


def test_your_own_numbers_say_on_which_split():
    row = {"source": "yours", "study": "race", "n": 2, "stale": None}
    assert (
        origin(1, row) == "your runs in race, 2 seeds: last validation, on their validation split"
    )


def test_rows_find_their_partners(recorded):
    rows = rows_beside(1, recorded).set_index("row")
    assert rows.loc["crosskd_3"].tolist() == [38.7, 13.0]
    assert rows.loc["kd"].tolist() == [37.8, 14.0], "the paper's LD"
    assert set(rows.index) == {"none", "kd", "crosskd_0", "crosskd_3"}
    assert rows_beside(8, recorded).empty


def test_the_order_is_told(recorded):
    # Paper: none 35.8 < kd 37.8 < crosskd_0 38.2 < crosskd_3 38.7; here kd is above both.
    text = tell_order(rows_beside(1, recorded))
    assert text.startswith("4 of 6 pairs of rows stand as in the paper.")
    assert "crosskd_0 and kd" in text and "crosskd_3 and kd" in text
    assert "no order to compare yet" in tell_order(rows_beside(8, recorded))
    same = pd.DataFrame({"row": ["a", "b"], "paper": [1.0, 2.0], "recorded": [3.0, 4.0]})
    assert tell_order(same) == "1 of 1 pairs of rows stand as in the paper."


def test_every_declared_row_and_every_recipe_has_its_command():
    offered = {name: command.words for name, command in commands(7).items()}
    pocket = [name for name in offered if name.startswith("pocket")]
    assert len(pocket) == len(read_sweep("table7").rows)
    assert "sweep table7 --only kd_from_atss --seeds 0" in offered["pocket: kd_from_atss, seed 0"]
    name = "paper: GFL-R50 from RetinaNet-R101, KD (table7_retinanet_kd)"
    assert offered[name] == "crosskd-lab launch paper/table7_retinanet_kd --gpus 8"
    with pytest.raises(LabError, match="Tables 1 to 8"):
        commands(9)


def test_what_was_made_again_stands_beside_its_record(recorded, tmp_path, capsys):
    again = tmp_path / "again"
    assert made_again(again, recorded).empty
    assert "Nothing has been made again yet." in capsys.readouterr().out
    record(again, crosskd_3=13.25)
    table = made_again(again, recorded)
    assert table.to_dict("records") == [
        {"sweep": "table1", "row": "crosskd_3", "seed": 0, "AP again": 13.25, "AP recorded": 13.0}
    ]


def test_the_judge_of_agreement():
    def right(paper, here):
        from itertools import combinations

        common = [row for row in paper if row in here]
        pairs = [(a, b) for a, b in combinations(common, 2) if paper[a] != paper[b]]
        same = [(paper[a] - paper[b]) * (here[a] - here[b]) > 0 for a, b in pairs]
        return sum(same) / len(pairs)

    assert check_agreement(right).startswith("Right")
    assert "two of the three pairs" in check_agreement(lambda paper, here: 1.0)
    assert check_agreement(lambda paper, here: here["z"]).startswith("Not yet")
