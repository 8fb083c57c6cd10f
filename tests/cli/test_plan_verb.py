"""``plan`` and what ``recipes`` makes of it, as a user reads them."""

import json

import pandas as pd
import pytest

from crosskd_lab import cli
from crosskd_lab.runs import forecast
from crosskd_lab.runs.forecast import Measurement, Work, outlook

TINY = [
    *("--set", "data.size=64", "--set", "schedule.batch=2", "--set", "schedule.steps=3600"),
]


def run(capsys, *args):
    with pytest.raises(SystemExit) as ended:
        cli.main(args)
    said = capsys.readouterr()
    return ended.value.code or 0, said.out, said.err


@pytest.fixture
def few(monkeypatch):
    """Two recipes instead of all, which take seconds to read."""
    from crosskd_lab.runs import recipes

    rows = [recipes._row(name) for name in ("table1_kd", "table1_i3")]
    monkeypatch.setattr(recipes, "recipes", lambda: pd.DataFrame(rows))


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A place of its own for measurements."""
    monkeypatch.setattr(forecast, "STEPS", tmp_path / "steps")
    return tmp_path / "steps"


def on_a_gpu(recipe, step=0.36):
    return Measurement(
        **dict(recipe=recipe, step=step, backward=0.2, gradient=128_000_000, memory=8e9),
        work=Work(batch=2, rate=0.01, base_batch=16, images=117_266, epochs=12),
        **dict(memory_is="peak", device="Round GPU", gpu=True, size=(800, 1088), threads=1),
        **dict(steps=5, torch="2.0", date="2026-01-01T00:00:00+00:00"),
    )


def test_it_measures_once_and_plans(kept, scenes_dir, tmp_path, capsys):
    words = ["plan", "pocket/crosskd", *TINY, "--data", str(scenes_dir)]
    files = ["--csv", str(tmp_path / "plan.csv"), "--figure", str(tmp_path / "plan.png")]
    code, out, err = run(capsys, *words, "--steps", "1", "--price", "3", *files)
    assert code == 0, err
    (file,) = kept.glob("pocket-crosskd-*.json")
    step = Measurement.read(file)
    assert step.gradient == 4 * 1_242_211 and step.size == (64, 64) and step.steps == 1
    frame = pd.read_csv(tmp_path / "plan.csv")
    assert frame["gpus"].tolist() == [1, 2, 4, 8, 16, 32, 64]
    assert frame["hours"][0] == pytest.approx(step.step), "3600 steps are an hour a second of step"
    assert frame["cost"].tolist() == pytest.approx((3 * frame["gpu_hours"]).tolist())
    assert (tmp_path / "plan.svg").is_file()
    assert "Measured on a CPU" in out and "This recipe counts steps" in out
    before = file.read_text()
    code, out, err = run(capsys, *words)
    assert code == 0 and "is kept in data/cache/steps; --steps 5 measures again" in out, err
    assert file.read_text() == before and "cost" not in out


def test_a_step_measured_elsewhere(kept, tmp_path, capsys):
    path = on_a_gpu("paper/table5_crosskd").write(tmp_path / "from")
    code, out, err = run(capsys, "plan", "paper/table5_crosskd", "--measured", str(path))
    assert code == 0, err
    (eight,) = [line.split() for line in out.splitlines() if line.split()[:2] == ["8", "16"]]
    plan = outlook(on_a_gpu("paper/table5_crosskd"), gpus=[8]).iloc[0]
    assert eight[2:4] == ["0.01", "87,960"] and eight[5] == f"{plan['hours']:.2f}"
    code, _, err = run(capsys, "plan", "paper/table1_kd", "--measured", str(path))
    assert code == 1 and "measured paper/table5_crosskd" in err
    code, _, err = run(capsys, "plan", "paper/table1_kd", "--steps", "2", "--step-ms", "3")
    assert code == 1 and "choose one of --steps" in err
    assert not kept.exists()


def test_a_given_step_needs_no_measuring(kept, scenes_dir, capsys):
    words = ["plan", "pocket/none", *TINY, "--data", str(scenes_dir), "--step-ms", "500"]
    code, out, err = run(capsys, *words)
    assert code == 0, err
    (one,) = [line.split() for line in out.splitlines() if line.split()[:2] == ["1", "2"]]
    assert one[3:6] == ["3,600", "0.500", "0.50"]
    assert "500 ms for 2 images of 64 x 64, as given" in out and "GiB" not in out, (
        "nobody knows its memory"
    )
    assert not kept.exists()
    for nonsense in ("0", "inf"):
        code, _, err = run(capsys, *words[:-1], nonsense)
        assert code == 1 and "--step-ms more than 0, and finite" in err


def test_recipes_show_hours_where_a_step_was_measured(few, kept, tmp_path, capsys):
    on_a_gpu("paper/table1_kd").write()
    code, out, _ = run(capsys, "recipes", "--table", "1", "--csv", str(tmp_path / "r.csv"))
    assert code == 0
    frame = pd.read_csv(tmp_path / "r.csv").set_index("recipe")
    plan = outlook(on_a_gpu("paper/table1_kd"), gpus=[8]).iloc[0]
    assert frame.loc["paper/table1_kd", "gpu_hours"] == pytest.approx(plan["gpu_hours"])
    assert frame["gpu_hours"].notna().sum() == 1
    assert frame.loc["paper/table1_kd", "measured_on"] == "Round GPU"
    assert "one step on Round GPU" in out and "no step measured on a GPU yet" in out


def test_recipes_guess_no_hours(few, kept, capsys):
    kept.mkdir()
    cpu = json.loads(on_a_gpu("paper/table1_kd").write().read_text()) | {"gpu": False}
    for file in kept.iterdir():
        file.write_text(json.dumps(cpu))
    _, out, _ = run(capsys, "recipes", "--table", "1")
    assert "Round GPU" not in out, "hours on a CPU are no GPU-hours"
    assert "'crosskd-lab plan RECIPE' does" in out
