"""The plan of a launch: written, read again, turned into a command line."""

import json

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.runs.processes import PLAN, LaunchPlan


def test_one_process_needs_no_torchrun(tmp_path):
    plan = LaunchPlan("pocket/crosskd", str(tmp_path))
    assert plan.command("py") == ["py", "-m", "crosskd_lab.runs.worker", str(tmp_path)]


def test_several_processes_go_through_torchrun():
    words = LaunchPlan("c", "f", processes=8, gpus=8, restarts=2).command("py")
    assert words[:3] == ["py", "-m", "torch.distributed.run"]
    assert words[3:7] == ["--standalone", "--nnodes=1", "--nproc-per-node=8", "--max-restarts=2"]
    assert words[7:] == ["-m", "crosskd_lab.runs.worker", "f"]


def test_several_machines_meet_at_one():
    plan = LaunchPlan("c", "f", processes=8, gpus=8, nodes=2, port=29600, meeting="5e7")
    words = plan.command("py")
    assert "--rdzv-id=5e7" in words
    assert "--rdzv-endpoint=$HEAD_NODE:29600" in words and "--nnodes=2" in words


def test_it_is_read_again_wherever_the_folder_went(tmp_path):
    LaunchPlan("c", str(tmp_path / "old"), settings={"schedule.steps": 3}, steps=3).write()
    (tmp_path / "old").rename(tmp_path / "new")
    plan = LaunchPlan.read(tmp_path / "new")
    assert plan.folder == str(tmp_path / "new") and plan.settings == {"schedule.steps": 3}


def test_a_folder_that_was_not_launched_is_named(tmp_path):
    with pytest.raises(LabError, match="was not launched.*crosskd-lab runs"):
        LaunchPlan.read(tmp_path)
    (tmp_path / PLAN).write_text(json.dumps({"config": "c", "folder": "f", "steps": "x"}))
    with pytest.raises(LabError, match=r"launch\.json is broken .its steps is 'x'.: restore it"):
        LaunchPlan.read(tmp_path)
    (tmp_path / PLAN).write_text(json.dumps({"config": "c", "folder": "f", "color": "red"}))
    with pytest.raises(LabError, match=r"launch\.json is broken .*color"):
        LaunchPlan.read(tmp_path)
