"""``crosskd-lab conflict`` and ``gradients`` as a user meets them."""

import hashlib
import json

import pandas as pd
import pytest

from crosskd_lab.configs import TEACHERS
from crosskd_lab.files import sole_writer

PAIR = ["--teacher", "random", "--teacher-config", "pocket/gfl_r18_w16"]
PAIR += ["--student", "pocket/gfl_r18_w16"]


def test_conflict_writes_a_table_and_a_figure(run, scenes_dir, tmp_path):
    args = ["conflict", *PAIR, "--data", scenes_dir, "--out", tmp_path / "c"]
    code, out, _ = run(*args)
    assert code == 0
    names = sorted(path.name for path in (tmp_path / "c").iterdir())
    assert names == ["conflict.csv", "conflict.png", "conflict.svg", "made.json", "random.npz"]
    frame = pd.read_csv(tmp_path / "c" / "conflict.csv")
    assert (frame["teacher"] == "random").all()
    assert set(frame["by"]) == {"all", "level", "size", "class"}
    whole = frame[frame["by"] == "all"]
    assert len(whole) == 101
    assert whole["conflicts"].is_monotonic_decreasing
    assert f"({whole['positives'].iloc[0]} positives)" in out
    assert run(*args)[1] == out  # done already: the same numbers again


def test_several_teachers_are_compared_and_say_where_their_curves_came_from(
    run, scenes_dir, tmp_path
):
    teachers = ["gfl_r18_w32", "atss_r18_w32"]
    args = [word for name in teachers for word in ("--teacher", name)]
    args += ["--student", "pocket/gfl_r18_w16", "--data", scenes_dir, "--out", tmp_path]
    code, out, _ = run("conflict", *args)
    assert code == 0
    frame = pd.read_csv(tmp_path / "conflict.csv")
    assert frame.groupby("teacher", sort=False).size().index.tolist() == teachers
    whole = frame[(frame["by"] == "all") & (frame["threshold"] == 0.5)]
    assert whole["positives"].nunique() == 1  # one student, one assigner
    assert whole["ratio"].nunique() == 2
    made = json.loads((tmp_path / "made.json").read_text())
    shas = {name: made["teachers"][name]["teacher"]["sha256"] for name in teachers}
    assert shas == {
        name: hashlib.sha256((TEACHERS / f"{name}.safetensors").read_bytes()).hexdigest()
        for name in teachers
    }
    assert {"command", "date", "git", "versions", "machine"} <= set(made)
    assert [line.partition(":")[0] for line in out.splitlines()[:2]] == teachers
    _, _, err = run("conflict", *args, "--teacher", teachers[0])
    assert "give each one once" in err


def test_gradients_writes_a_table_and_two_figures(run, scenes_dir, tmp_path):
    args = [*PAIR, "--data", scenes_dir, "--out", tmp_path / "g", "--images", 3]
    code, _, _ = run("gradients", *args, "--place", "neck", "--place", "reg:2")
    assert code == 0
    names = sorted(path.name for path in (tmp_path / "g").glob("*.[cp]*"))
    assert names == ["concentration.png", "energy.png", "gradients.csv"]
    frame = pd.read_csv(tmp_path / "g" / "gradients.csv")
    assert set(zip(frame["where"], frame["i"], strict=True)) == {("neck", 0), ("reg", 2)}
    assert set(frame["loss"]) == {"detection", "CrossKD", "KD", "PKD"}
    made = json.loads((tmp_path / "g" / "made.json").read_text())
    assert made["pair"]["teacher"]["checkpoint"] == "random"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["conflict", "--boxes", "mine"], "teacher, student, exact"),
        (["conflict", "--boxes", "student"], "--student-weights"),
        (["conflict", "--split", "dev"], "no dev split"),
        (["gradients", "--place", "head"], "--place head"),
        (["gradients", "--place", "cls:9"], "out of range"),
        (["gradients", "--place", "neck:3"], "--place neck:3: say neck, or cls:3"),
        (["conflict", "--teacher", "a/epoch_1.pth"], "there is no a/epoch_1.pth"),
    ],
)
def test_mistakes_are_one_line(run, scenes_dir, tmp_path, args, said):
    verb, *rest = args
    where = ["--data", scenes_dir, "--out", tmp_path / "x"]
    code, _, err = run(verb, *PAIR, *where, *rest)
    assert code == 1
    lines = [line for line in err.splitlines() if line.startswith("crosskd-lab:")]
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize("verb", ["conflict", "gradients"])
def test_of_two_in_one_folder_one_is_told(run, scenes_dir, tmp_path, verb):
    with sole_writer(tmp_path / "o"):
        code, _, err = run(verb, *PAIR, "--data", scenes_dir, "--out", tmp_path / "o")
    assert code == 1 and err.count("\n") == 1 and f"{tmp_path}/o is being written by" in err
