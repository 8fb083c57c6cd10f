"""``plan`` and ``recipes``, as a user reads them."""

import pandas as pd
import pytest

from crosskd_lab.runs import recipes


def test_it_measures_and_plans(scenes_dir, tmp_path, run):
    tiny = ["data.size=64", "schedule.batch=2", "schedule.steps=3600"]
    words = ["plan", "pocket/crosskd", "--data", str(scenes_dir), "--steps", "1", "--price", "3"]
    words += [word for pair in tiny for word in ("--set", pair)]
    code, out, err = run(*words, "--csv", str(tmp_path / "plan.csv"))
    assert code == 0, err
    frame = pd.read_csv(tmp_path / "plan.csv")
    assert frame["gpus"].tolist() == [1, 2, 4, 8, 16, 32, 64]
    assert frame["hours"][0] == pytest.approx(frame["seconds"][0]), "3600 steps: an hour a second"
    assert frame["cost"].tolist() == pytest.approx((3 * frame["gpu_hours"]).tolist())
    (two,) = [line.split() for line in out.splitlines() if line.split()[:2] == ["2", "4"]]
    assert two[2:4] == ["0.04", "3,600"]
    assert "a step of 2 x 64 x 64 pixels" in out and "This recipe counts steps" in out
    assert ("Measured on a CPU" in out) == frame["memory"].isna().all()


def test_recipes_of_a_table(tmp_path, run, monkeypatch):
    few = pd.DataFrame([recipes._row(name) for name in ("table1_kd", "table1_i3", "table5_pkd")])
    monkeypatch.setattr(recipes, "recipes", lambda: few)  # all take seconds to read
    code, out, _ = run("recipes", "--table", "1", "--csv", str(tmp_path / "r.csv"))
    assert code == 0 and "paper/table1_kd" in out and "table5" not in out
    assert pd.read_csv(tmp_path / "r.csv")["recipe"].tolist() == [
        "paper/table1_kd",
        "paper/table1_i3",
    ]
    code, _, err = run("recipes", "--table", "9")
    assert code == 1 and "no recipe belongs to table 9" in err
