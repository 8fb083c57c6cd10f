"""Notebook 09: what is said of a run is what its folder holds; the notebook itself trains one."""

from __future__ import annotations

import json
import types

import pandas as pd
import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.notebook import for_real
from crosskd_lab.notebook.for_real import (
    check_resume,
    go_on,
    in_the_table,
    launch_elsewhere,
    pocket_words,
    recipe_commands,
    stop_after_checkpoint,
)
from crosskd_lab.runs.recipes import recipes


def test_every_recipe_has_its_command_and_the_papers_ap():
    commands = recipe_commands()
    assert len(commands) == len(recipes())
    (name,) = (name for name in commands if name.startswith("paper/table1_i3"))
    assert name == "paper/table1_i3 (the paper's AP: 38.7)"
    assert commands[name].words == "crosskd-lab launch paper/table1_i3 --gpus 8"
    assert not any("AP: nan" in name for name in commands)


def test_the_words_of_a_launch_can_be_sent_to_another_process(scenes_dir, tmp_path):
    words = pocket_words("cpu", tmp_path, scenes_dir)
    assert json.loads(json.dumps(words)) == words
    assert words["out"] == str(tmp_path / "cpu" / "crosskd-s0")
    assert words["settings"]["schedule.steps"] == 60
    assert words["settings"]["schedule.validate_every"] == 20
    assert "teacher.checkpoint" not in words["settings"], "only scale smoke goes without a teacher"
    assert pocket_words("smoke", tmp_path, scenes_dir)["settings"]["schedule.batch"] == 2
    with pytest.raises(LabError, match="unknown"):
        pocket_words("huge", tmp_path, scenes_dir)


def test_a_run_that_is_there_is_not_launched_again(tmp_path):
    (tmp_path / "record.json").write_text("{}")
    assert "nothing was started" in launch_elsewhere({"out": str(tmp_path)})


def test_a_launch_that_is_refused_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(for_real, "DIES", "import sys; sys.exit('no such recipe')")
    with pytest.raises(LabError, match="no such recipe"):
        launch_elsewhere({"out": str(tmp_path)})
    monkeypatch.setattr(
        for_real, "DIES", "import os; print('on', flush=True); os.kill(os.getpid(), 9)"
    )
    assert launch_elsewhere({"out": str(tmp_path)}) == "on\nits starter ended by signal 9"


class Acted:
    """A run that does what it is told, and remembers."""

    reason, steps, step = "no space", 60, 25

    def __init__(self, folder, status):
        self.folder, self.status, self.told = folder, status, []

    def stop(self):
        self.told.append("stop")
        self.status = "stopped"

    def resume(self):
        self.told.append("resume")

    def wait(self, patience):
        self.status, self.step = "done", 60


def test_a_run_is_stopped_at_its_first_checkpoint_and_goes_on(monkeypatch, tmp_path):
    folder = tmp_path / "smoke" / "crosskd-s0"
    seen = iter([None, None])
    monkeypatch.setattr(for_real, "last_checkpoint", lambda _: next(seen, folder / "iter_20.pth"))
    monkeypatch.setattr(for_real, "read_record", lambda _: {"resumed": [1]})
    run = Acted(folder, "running")
    said = stop_after_checkpoint(run)
    assert said == "stopped at step 25 of 60; newest checkpoint: step 20"
    assert go_on(run) == "done: step 60 of 60, resumed 1 time in smoke/crosskd-s0"
    assert "done at step 60" in stop_after_checkpoint(run)
    go_on(run)
    assert run.told == ["stop", "resume"], "a run that is done is left alone"


def test_a_run_that_fails_is_not_waited_for(tmp_path):
    with pytest.raises(LabError, match="without a checkpoint: no space"):
        stop_after_checkpoint(Acted(tmp_path, "failed"))


def test_the_table_has_the_paper_and_this_study_alone(monkeypatch, tmp_path):
    def results(number, sources, runs):
        assert (number, runs) == (1, tmp_path) and "recorded" not in sources
        columns = ["source", "study", "method", "variant", "n", "mean"]
        rows = [("paper", "a", "CrossKD", "3", None, 38.7), ("paper", "a", "KD", "", None, 1)]
        rows += [("yours", "cpu", "CrossKD", "", 1, 4.0), ("yours", "gpu", "CrossKD", "", 1, 9.0)]
        return pd.DataFrame(rows, columns=columns)

    monkeypatch.setattr(for_real, "results", results)
    table = in_the_table(types.SimpleNamespace(folder=tmp_path / "cpu" / "crosskd-s0"))
    assert table["mean"].tolist() == [38.7, 4.0]


def test_the_judge_of_resuming():
    def right(killed, every, broken):
        return max(0, (killed // every - broken) * every)

    assert check_resume(right).startswith("Right")
    assert "goes on from 200, not 250" in check_resume(lambda killed, every, broken: killed)
    below = check_resume(lambda killed, every, broken: (killed // every - broken) * every)
    assert "never below 0" in below
