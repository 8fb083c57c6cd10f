"""What a launch decides, and what it refuses before anything has started."""

import pytest

from crosskd_lab.errors import LabError
from crosskd_lab.launch import launch
from crosskd_lab.launch.start import prepare


def test_a_dry_run_says_what_it_would_do(small, capsys, tmp_path):
    assert launch(**small(6), processes=2, dry_run=True) is None
    said = capsys.readouterr().out
    assert "2 x 2 = 4 images a step" in said
    assert "rate      0.04, scaled from 0.02 with the batch" in said
    assert "torch.distributed.run --standalone --nnodes=1 --nproc-per-node=2" in said
    assert not (tmp_path / "run").exists()


def test_what_cannot_start_is_refused_first(small, tmp_path):
    with pytest.raises(LabError, match="64 GPUs were asked for"):
        launch(**small(6), gpus=64)
    with pytest.raises(LabError, match="one process a GPU"):
        launch(**small(6), gpus=2, processes=3)
    with pytest.raises(LabError, match="at least 1"):
        launch(**small(6), processes=0)
    with pytest.raises(LabError, match="there is no teacher 'nobody'"):
        words = small(6)
        words["settings"]["teacher.checkpoint"] = "nobody"
        launch(**words)
    with pytest.raises(LabError, match="several machines need a scheduler"):
        launch(**small(6), nodes=2)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_refused(small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text("{}")
    with pytest.raises(LabError, match="holds a run already: 'crosskd-lab runs --resume"):
        launch(**small(6))


def test_the_plan_knows_the_length_of_the_run(small):
    plan = prepare(**small(6))
    assert (plan.steps, plan.processes, plan.gpus) == (6, 1, 0)
