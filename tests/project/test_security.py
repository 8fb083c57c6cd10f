"""Files from elsewhere run nothing, and JupyterLab opens to nobody else."""

import re
from pathlib import Path

import pytest
import torch

from crosskd_lab import cli

ROOT = Path(__file__).parents[2]


class Bomb:
    """A pickle that makes a file when it is read without care."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def bomb(tmp_path):
    path = tmp_path / "gift.pth"
    torch.save({"state_dict": {"w": torch.ones(1)}, "meta": Bomb(tmp_path / "ran")}, path)
    return path


@pytest.mark.parametrize("verb", ["eval", "train", "conflict"])
def test_no_verb_runs_what_a_checkpoint_brings(verb, bomb, scenes_dir, tmp_path, capsys):
    config = "pocket/gfl_r18_w32"
    teacher = ["--set", f"teacher.checkpoint={bomb}", "--set", f"teacher.config={config}"]
    pair = ["--student", "pocket/gfl_r18_w16", "--teacher", bomb, "--teacher-config", config]
    args = {
        "eval": [bomb, "--config", config, "--data", scenes_dir],
        "train": ["pocket/crosskd", "--data", scenes_dir, "--out", tmp_path / "run", *teacher],
        "conflict": [*pair, "--data", scenes_dir],
    }[verb]
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, *map(str, args)])
    error = capsys.readouterr().err
    assert ended.value.code == 1 and "gift.pth" in error, error
    assert not (tmp_path / "ran").exists()
    torch.load(bomb, weights_only=False)  # our own file, just made
    assert (tmp_path / "ran").exists(), "it is live"


def test_jupyter_keeps_its_token_and_stays_on_this_machine():
    starts = 0
    sources = [ROOT / "Makefile", *(ROOT / "scripts").rglob("*.*"), *ROOT.glob("tests/**/*.py")]
    sources += (ROOT / "crosskd_lab").rglob("*.py")
    for path in set(sources) - {Path(__file__)}:
        if not path.is_file() or path.suffix == ".pyc":
            continue
        text = path.read_text(errors="ignore")
        if re.search(r"jupyter lab |\"jupyterlab\", \"--", text):
            starts += 1
            assert "--ip=127.0.0.1" in text, path
        assert not re.search(r"(token|password)\s*=\s*(''|\"\")|ip=(0\.0\.0\.0|\*)", text), path
    assert starts >= 2, "the Makefile's and the browser tests' own"
