"""``crosskd-lab eval``, ``export`` and ``teacher`` as a user meets them."""

import json

import pytest

from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.train import train


@pytest.fixture(scope="module")
def trained(scenes_dir, tmp_path_factory):
    """A run of one step."""
    settings = {"data.size": 64, "schedule.steps": 1, "schedule.batch": 2}
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(load_experiment("pocket/gfl_r18_w16", settings, scenes_dir), folder)
    return folder


def test_eval_prints_a_table_and_writes_only_when_asked(run, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(trained.rglob("*"))
    code, said, error = run("eval", trained)
    assert (code, error) == (0, "")
    head, values = said.splitlines()[-2:]
    assert head.split() == ["AP", "AP50", "AP75", "APS", "APM", "APL"]
    assert len(values.split()) == 6
    assert sorted(trained.rglob("*")) == before and not list(tmp_path.iterdir())
    assert run("eval", trained, "--split", "train", "--out", tmp_path / "ap.json")[0] == 0
    assert set(json.loads((tmp_path / "ap.json").read_text())) == set(head.split())


@pytest.mark.parametrize(
    ("name", "said"),
    [("nobody", "there is no nobody"), ("{run}/iter_1.pth", "say with --config")],
)
def test_eval_tells_mistakes_in_one_line(run, trained, name, said):
    code, out, error = run("eval", name.format(run=trained))
    assert (code, out, error.count("\n")) == (1, "", 1) and said in error


def test_a_bare_checkpoint_needs_its_config(run, trained, scenes_dir):
    arguments = ["--config", trained / "config.py", "--data", scenes_dir]
    assert run("eval", trained / "iter_1.pth", *arguments)[0] == 0


def test_export_says_how_to_open_it(run, trained, tmp_path):
    code, said, _ = run("export", trained, "--out", tmp_path / "d.pth")
    assert code == 0 and "init_detector" in said and (tmp_path / "d.py").is_file()
    code, said, _ = run("export", trained, "--out", tmp_path / "e.safetensors")
    assert code == 0 and "init_detector" not in said


def test_teacher_verbs_tell_mistakes_in_one_line(run, tmp_path):
    code, _, error = run("teachers", "check", "nobody")
    assert code == 1 and error.count("\n") == 1 and "nobody" in error
    code, _, error = run("teachers", "ship", tmp_path, "--name", "x")
    assert code == 1 and error.count("\n") == 1 and "is no run" in error
