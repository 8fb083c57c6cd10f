"""Notebook 14's switches change what they say, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from crosskd_lab.notebook.fine_print import (
    SWITCHES,
    check_keep,
    numbers,
    outcomes,
    overwritten,
    recorded_figure,
    switch_frames,
)
from crosskd_lab.report.sweep_spec import append_line, read_sweep


@pytest.fixture(scope="module")
def found(student, batch):
    return outcomes(student, batch)


def test_each_switch_changes_its_own_part(found):
    run = found["as run"]
    same_scores = {name for name, one in found.items() if np.array_equal(one.score, run.score)}
    assert same_scores >= {"S(r) = 1", "box term over positives"}
    assert "no alignment" not in same_scores and "tap before the ReLU" not in same_scores
    assert set(np.unique(found["S(r) = 1"].weight)) <= {0.0, 1.0}
    for name in ("S(r) = 1", "box term over positives"):
        assert found[name].losses["loss_crosskd_cls"] == run.losses["loss_crosskd_cls"]
        assert found[name].losses["loss_crosskd_reg"] != run.losses["loss_crosskd_reg"]
    assert all(one.energy.min() >= 0 < one.energy.max() for one in found.values())


def test_numbers_are_held_against_the_code_as_it_runs(found):
    table = numbers(found)
    assert list(table.index) == ["as run", *SWITCHES]
    assert table.loc["as run", ["pull", "cosine"]].tolist() == [1.0, 1.0]
    assert (table["cosine"].drop("as run") < 1).all() and (table["pull"] > 0).all()
    assert table.loc["as run", "cls"] == round(found["as run"].losses["loss_crosskd_cls"], 3)


def test_every_switch_has_its_picture(student, batch, found):
    frames = switch_frames(student, batch, found)
    assert list(frames.pictures) == list(SWITCHES)
    assert len(set(frames.pictures.values())) == len(SWITCHES)


def test_switches_are_rows_of_the_sweep_and_built_alike():
    rows = {row.name: row for row in read_sweep("fine_print").rows}
    for switch in SWITCHES.values():
        row = rows[switch.row]
        said = {k.removeprefix("methods.0."): v for k, v in row.settings.items() if "methods" in k}
        assert {k: v for k, v in said.items() if k != "i"} == dict(switch.options)
        assert (row.config == "fine_print/pre_relu") == (switch.tap == "pre_relu")


def test_recorded_differences_are_drawn(tmp_path):
    rows = {row.name: row for row in read_sweep("fine_print").rows}
    for name, ap in (("as_run", 20.0), ("no_align", 18.0)):
        for seed in range(2):
            line = {"row": name, "key": rows[name].key, "seed": seed, "status": "done"}
            line |= {"AP": ap + seed, "method": []}
            append_line(tmp_path / "fine_print.jsonl", line)
    (ax,) = recorded_figure(tmp_path).axes
    said = [label.get_text() for label in ax.get_yticklabels()]
    assert said[1] == "no alignment\n-2.0 ± <0.6 (n = 2)" and said[0].endswith("(not recorded)")


def test_an_activation_in_place_overwrites_what_was_kept():
    table = overwritten(nn.ReLU(inplace=True))
    assert table.loc["when it was kept", "smallest value"] < -1
    assert table.loc["after the activation"].tolist() == [0.0, 0.0]
    spared = overwritten(nn.ReLU())
    assert (spared.iloc[0] == spared.iloc[1]).all()


def test_the_judge_of_what_was_kept():
    def right(conv, activation, x):
        before = conv(x)
        return before, activation(before.clone())

    def fooled(conv, activation, x):
        before = conv(x)
        return before, activation(before)

    def detached(conv, activation, x):
        before = conv(x)
        return before.detach().clone(), activation(before)

    assert check_keep(right).startswith("Right")
    assert "written over it" in check_keep(fooled)
    assert "do not detach" in check_keep(detached)
    assert check_keep(lambda conv, activation, x: (x, torch.zeros(1))).startswith("Not yet")
