"""Notebook 06: recorded curves side by side, students followed, and the judge of the split."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.notebook import unfolding
from crosskd_lab.notebook.unfolding import (
    STUDIES,
    check_split,
    follow,
    last_parts,
    recorded_frames,
    tell_recorded,
    turned_down_picture,
)
from crosskd_lab.report.sweep_spec import append_line, read_sweep


@pytest.fixture
def recorded(tmp_path):
    """Two points of three rows of Table 1."""
    rows = {row.name: row for row in read_sweep("table1").rows}
    types = {"none": [], "kd": ["PredictionMimicking"], "crosskd_3": ["CrossKD"]}
    for place, (name, methods) in enumerate(types.items()):
        line = {"key": rows[name].key, "seed": 0, "status": "done"}
        line |= {"method": [{"type": method} for method in methods], "curve": []}
        for step in (80, 160):
            point = {"step": step, "AP": step / 10 + place, "l1_teacher": 3.0 - place}
            line["curve"].append({**point, "l1_truth": 4.0 + place})
        append_line(tmp_path / "table1.jsonl", line)
    return tmp_path


def test_studies_name_declared_rows():
    for sweep, rows in STUDIES.values():
        assert set(rows) <= {row.name for row in read_sweep(sweep).rows}


def test_what_is_recorded_is_drawn_and_told(recorded, capsys):
    frames = recorded_frames(recorded)
    assert list(frames.pictures)[0] == "methods" and all(frames.pictures.values())
    assert "Unlike in Fig. 6(b), KD does not end farther" in tell_recorded(recorded)
    assert recorded_frames(recorded / "nowhere") is None
    assert "no curve is recorded here yet" in capsys.readouterr().out
    assert tell_recorded(recorded / "nowhere") == "No curve is recorded here yet."


CURVES = pd.DataFrame(
    [("KD", 0, 10, 1.0, 9.0, 1.0), ("KD", 0, 20, 2.0, 6.0, 3.0), ("KD", 1, 20, 4.0, 6.0, 5.0)],
    columns=["method", "seed", "step", "l1_truth_positive", "l1_truth_background", "AP"],
)


def test_the_last_parts_are_means_over_seeds():
    table = last_parts(CURVES)
    assert table.loc["KD"].tolist() == pytest.approx([9.0, 3.0, 6.0, 4.0, 0.667])
    assert "share of background" in table


def test_a_finished_race_is_loaded_unless_it_lacks_the_parts(monkeypatch, tmp_path, capsys):
    races = {tmp_path / "new": CURVES, tmp_path / "old": CURVES[["method", "seed"]]}
    monkeypatch.setattr(
        unfolding, "load_race", lambda out: SimpleNamespace(curves=races[out], folder=out)
    )
    assert follow("cpu", tmp_path / "new").curves is CURVES
    assert "Loaded the finished race new" in capsys.readouterr().out
    with pytest.raises(LabError, match="give another folder"):
        follow("cpu", tmp_path / "old")


@pytest.mark.parametrize("has", ["all", "no CrossKD", "no parts"])
def test_your_race_of_notebook_02_is_taken_where_it_has_what_is_asked(monkeypatch, tmp_path, has):
    methods = ["none", "KD"] if has == "no CrossKD" else ["none", "KD", "CrossKD"]
    curves = pd.DataFrame({"method": methods, "l1_truth_positive": 1.0})
    curves = curves[["method"]] if has == "no parts" else curves

    def load(out):
        if out.name != "race":
            raise LabError("no finished race")
        return SimpleNamespace(curves=curves, folder=out)

    ran = SimpleNamespace(curves=CURVES)
    monkeypatch.setattr(unfolding, "load_race", load)
    monkeypatch.setattr(unfolding, "run_race", lambda *args, **kwargs: ran)
    monkeypatch.setattr(unfolding, "lesson_scenes", lambda scale: tmp_path)
    assert (follow("cpu") is ran) == (has != "all")
    assert follow("smoke") is ran, "smoke is for no one's own race"


def test_students_are_followed_in_their_own_folder(monkeypatch, tmp_path):
    asked = []

    def nothing(out):
        raise LabError("no finished race")

    def run(out, steps, seeds, methods, data, settings, listener):
        asked.append((out, steps, seeds, methods, settings))
        return SimpleNamespace(curves=CURVES)

    monkeypatch.setattr(unfolding, "load_race", nothing)
    monkeypatch.setattr(unfolding, "run_race", run)
    monkeypatch.setattr(unfolding, "lesson_scenes", lambda scale: tmp_path)
    follow("smoke")
    ((out, steps, seeds, methods, settings),) = asked
    assert out.parts[-2:] == ("runs", "unfolding-smoke")
    assert (steps, seeds, methods) == (4, 1, ("none", "kd", "crosskd"))
    assert settings == {"schedule.batch": 4, "schedule.validate_every": 2}
    with pytest.raises(LabError, match="scale = 'big'"):
        follow("big")


def test_a_student_is_turned_down(monkeypatch, student, batch):
    monkeypatch.setattr(unfolding, "train_student", lambda method, scale, race: student)
    monkeypatch.setattr(unfolding, "held_out", lambda student, count: batch)
    race = SimpleNamespace(folder=None)
    whole, own, background = turned_down_picture("smoke", race, ["crosskd"]).axes
    assert [line.get_label() for line in whole.lines] == ["CrossKD"]
    assert background.lines[0].get_ydata()[-1] == 0, "nothing is scored, so nothing is wrong there"
    assert whole.lines[0].get_ydata() == pytest.approx(
        own.lines[0].get_ydata() + background.lines[0].get_ydata()
    )


def test_the_judge_of_the_split():
    def right(scores, truth, positive):
        apart = (scores - truth).abs().sum(-1)
        count = max(int(positive.sum()), 1)
        return apart[positive].sum() / count, apart[~positive].sum() / count

    def own_counts(scores, truth, positive):
        apart = (scores - truth).abs().sum(-1)
        return apart[positive].sum() / positive.sum(), apart[~positive].sum()

    def careless(scores, truth, positive):
        apart = (scores - truth).abs().sum(-1)
        return apart[positive].sum() / positive.sum(), apart[~positive].sum() / positive.sum()

    assert check_split(right).startswith("Right")
    assert "divided by the number of positives" in check_split(own_counts)
    assert "without any positive" in check_split(careless)
    assert "return two numbers" in check_split(lambda s, t, p: 0.0)
    assert check_split(lambda s, t, p: (0.0, 0.0)).startswith("Not yet: at positives")
