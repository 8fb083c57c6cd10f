"""Notebook 08: what the slider shows is measured, and a run of any i can be started."""

from __future__ import annotations

import types

import pandas as pd
import pytest
import torch

from crosskd_lab.notebook import which_layer
from crosskd_lab.notebook.students import hold
from crosskd_lab.notebook.which_layer import (
    both_tables,
    check_layers,
    layer_frames,
    layers,
    look,
    reaches,
    runs_of,
)
from crosskd_lab.report.results import paper_table
from crosskd_lab.report.sweep_spec import append_line, read_sweep


@pytest.fixture(scope="module")
def held(scenes_dir):
    return hold("smoke", data=scenes_dir, teacher="random")


def test_the_reach_ends_at_the_layer_that_is_delivered(held):
    table = reaches(held)
    assert layers(held) == [0, 1, 2, 3, 4]
    for i in layers(held):
        column = table[f"i = {i}"]
        reached = {f"{b} {k}" for b in ("cls", "reg") for k in range(1, i + 1)}
        assert set(column[column > 0].index) == {"backbone", "neck"} | reached
    assert (table.loc["predictors"] == 0).all()


def test_maps_are_the_best_scores_of_three_predictions(held):
    view, losses, _ = look(held, 3)
    names = ["teacher's prediction", "cross-head prediction, i = 3", "student's own prediction"]
    assert list(view.maps) == names
    height, width = view.image.shape[:2]
    for values in view.maps.values():
        assert values.shape == (height, width)
        assert values.min() >= 0 and values.max() <= 1
    scores = held.pair.teacher(held.singles()[0]["inputs"], mode="tensor")[0]
    best = max(level.sigmoid().max().item() for level in scores)
    assert view.maps["teacher's prediction"].max() == pytest.approx(best, rel=1e-5)
    assert set(losses) == {"loss_crosskd_cls", "loss_crosskd_reg"}


def test_a_frame_for_every_layer(held):
    frames = layer_frames(held, both_tables())
    assert list(frames.pictures) == layers(held)
    assert len(set(frames.pictures.values())) == 5


def test_both_tables_stand_beside_each_other(tmp_path):
    rows = {row.name: row for row in read_sweep("table1").rows}
    for name, ap in (("none", 10.0), ("crosskd_3", 14.5)):
        line = {"row": name, "key": rows[name].key, "seed": 0, "status": "done", "AP": ap}
        append_line(tmp_path / "table1.jsonl", line | {"method": []})
    table = both_tables(tmp_path).set_index("i")
    printed = paper_table(1).query("method == 'CrossKD'")
    assert table["paper"].tolist() == printed["AP"].tolist()
    assert table.loc[3, ["recorded", "gain", "seeds"]].tolist() == [14.5, 4.5, 1]
    assert table["recorded"].isna().tolist() == [True, True, True, False, True]
    assert "recorded, on scenes: AP 14.5 (+4.5), 1 seeds" in table.loc[3, "words"]
    assert "recorded" not in table.loc[0, "words"] and "paper, on COCO: AP" in table.loc[0, "words"]


def test_a_command_for_every_layer_starts_once_and_goes_on_where_it_was_stopped(
    monkeypatch, tmp_path
):
    asked, status = [], "done"

    def start(config, settings, data, out):
        asked.append((config, settings["methods.0.i"], out))
        out.mkdir(parents=True)
        (out / "record.json").write_text("{}")
        return "launched"

    found = types.SimpleNamespace(
        open=lambda out: types.SimpleNamespace(status=status, resume=lambda: f"resumed {out.name}")
    )
    monkeypatch.setattr(which_layer, "launch", start)
    monkeypatch.setattr(which_layer, "Run", found)
    commands = runs_of("smoke", [0, 4], tmp_path)
    assert list(commands) == ["i = 0", "i = 4"]
    words = "launch pocket/crosskd --set methods.0.i=4 --set schedule.steps=4 "
    assert words in commands["i = 4"].words
    assert commands["i = 4"].start() == "launched"
    assert commands["i = 4"].start().status == "done"
    status = "stopped"
    assert commands["i = 4"].start() == "resumed smoke-i4"
    assert asked == [("pocket/crosskd", 4, tmp_path / "smoke-i4")]


def test_the_judge_of_layers():
    assert check_layers(lambda i, n: list(range(i, 0, -1))).startswith("Right")
    assert "f_i has passed" in check_layers(lambda i, n: [n])
    assert "for i = 0 of 4 it names [1, 2, 3, 4]" in check_layers(lambda i, n: [1, 2, 3, 4])


def test_gradients_leave_the_student_as_it_was(held):
    before = {name: p.clone() for name, p in held.pair.student.named_parameters()}
    look(held, 2)
    for name, p in held.pair.student.named_parameters():
        assert torch.equal(p, before[name]) and p.grad is None
    assert isinstance(reaches(held), pd.DataFrame)
