"""What a verb's words become for the library, and what it says where all went well."""

import types
from pathlib import Path

import pandas as pd
import pytest

from crosskd_lab.engine.record import finish_record
from crosskd_lab.engine.teacher import Verdict
from crosskd_lab.files import append_line
from crosskd_lab.report.sweep_spec import read_sweep

COCO, ZOO = "crosskd_lab.data.fetch.get_coco", "crosskd_lab.data.fetch.get_teacher"
TEACHER, ROOM = "crosskd_lab.engine.teacher", "crosskd_lab.notebook.workshop"


def verdict(inside):
    return Verdict(21.0 if inside else 12.0, 20.0, 23.0)


@pytest.mark.parametrize(
    ("words", "asked", "answer", "given", "code", "said"),
    [
        (
            "pretrain pocket/gfl_r18_w16 --out b.safetensors --count 9 --epochs 2 --seed 4",
            "crosskd_lab.engine.pretrain.pretrain",
            71.26,
            ("pocket/gfl_r18_w16", Path("b.safetensors"), dict(count=9, epochs=2, seed=4)),
            0,
            "b.safetensors: 71.3 % of held-out single shapes named right\n",
        ),
        (
            "teachers get fcos_r101 --from here --mirror http://m",
            ZOO,
            Path("data/teachers/fcos_r101.pth"),
            ("fcos_r101", dict(source=Path("here"), mirror="http://m")),
            0,
            "data/teachers/fcos_r101.pth\n",
        ),
        (
            "teachers ship runs/r --name mine",
            f"{TEACHER}.ship",
            dict(mean=21.04, sd=0.5, seeds=[1, 2], interval=[20.0, 22.0]),
            (Path("runs/r"), "mine", {}),
            0,
            "mine: AP 21.0, sd 0.5 over 2 held-out sets; a fresh set must fall within "
            "20.0 ... 22.0\n",
        ),
        (
            "teachers check mine --seed 7",
            f"{TEACHER}.check",
            verdict(True),
            ("mine", 7, {}),
            0,
            "mine: AP 21.0, inside 20.0 ... 23.0\n",
        ),
        (
            "teachers check mine",
            f"{TEACHER}.check",
            verdict(False),
            ("mine", 2000, {}),
            1,
            "mine: AP 12.0, OUTSIDE 20.0 ... 23.0\n",
        ),
        (
            "data coco --root c --split val --from here --mirror http://m",
            COCO,
            Path("c"),
            (Path("c"), ["val"], Path("here"), "http://m", {}),
            0,
            "c: COCO 2017, val; train on it with --data c\n",
        ),
        (
            "workshop pack room 01 04 --scale smoke",
            f"{ROOM}.pack",
            [1, 2],
            (Path("room"), ["01", "04"], "smoke", {}),
            0,
            "2 chapters in room/students and room/instructor\n",
        ),
        (
            "workshop wheels nowhere",
            f"{ROOM}.fetch_wheels",
            None,
            (Path("nowhere"), {}),
            0,
            "0 wheels in nowhere: make demo WHEELS=nowhere\n",
        ),
    ],
)
def test_words_become_arguments_and_the_end_is_told(
    run, monkeypatch, words, asked, answer, given, code, said
):
    heard = []

    def library(*values, **named):
        named.pop("command", None)
        heard.append((*values, named))
        return answer

    monkeypatch.setattr(asked, library)
    assert run(*words.split()) == (code, said, "")
    assert heard == [given]


def test_scenes_are_written_with_a_test_split_where_one_is_asked_for(run, tmp_path):
    sizes = ["--size", "64", "--train", "2", "--val", "1", "--test", "3"]
    code, said, _ = run("data", "scenes", "--out", tmp_path / "set", *sizes)
    assert code == 0 and said.startswith(
        f"{tmp_path / 'set'}: 2 train, 1 val, 3 test images of 64 x 64 pixels, data checksum "
    )
    assert len(list((tmp_path / "set" / "test").glob("*.png"))) == 3


def test_a_training_takes_its_options_and_says_its_ap(run, scenes_dir, monkeypatch, tmp_path):
    asked = []

    def train(cfg, folder, resume, command, listeners):
        asked.append((cfg.precision, cfg.tensorboard, cfg.randomness.seed, folder, resume))
        return {"AP": 12.34, "AP50": 20.0, "l1": 3.0}

    monkeypatch.setattr("crosskd_lab.engine.train.train", train)
    words = ("train", "pocket/gfl_r18_w16", "--data", scenes_dir, "--seed", 3, "--resume")
    assert run(*words, "--precision", "bf16", "--tensorboard")[:2] == (
        0,
        "runs/pocket-gfl_r18_w16-s3: AP 12.3, AP50 20.0\n",
    )
    assert asked == [("bf16", True, 3, Path("runs/pocket-gfl_r18_w16-s3"), True)]

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("crosskd_lab.engine.train.train", stopped)
    again = f"stopped; the same command with --resume goes on with {tmp_path}\n"
    code, _, told = run(*words, "--out", tmp_path)
    assert code == 130 and again not in told, "nothing had begun"
    (tmp_path / "record.json").touch()
    code, _, told = run(*words, "--out", tmp_path)
    assert code == 130 and again in told


def test_a_race_shows_each_student_and_ends_with_its_words(run, monkeypatch, tmp_path):
    asked = []

    def race(out, steps, seeds, names, data, teacher, student, settings, listener):
        asked.append((out, steps, seeds, names, data, teacher, student, settings))
        for seed in range(seeds):
            for name in names:
                listener(name, seed, {"kind": "train", "step": 3, "loss": 1.0})
                listener(name, seed, {"kind": "val", "step": 9, "AP": 4.25 + seed})
        return types.SimpleNamespace(paragraph="CrossKD leads [by far].")

    monkeypatch.setattr("crosskd_lab.runs.race.run_race", race)
    words = f"race --steps 9 --seeds 2 --methods none,crosskd --set data.size=96 --out {tmp_path}"
    code, said, _ = run(*words.split())
    names = ["none", "crosskd"]
    places = (None, "gfl_r18_w32", "gfl_r18_w16", {"data.size": 96})
    assert code == 0 and asked == [(tmp_path, 9, 2, names, *places)]
    lines = said.splitlines()
    assert lines[0].startswith("Students to train: 4 of gfl_r18_w16, 9 steps each")
    told = [line.split() for line in lines if "  AP " in line]
    assert told == [
        [f"{name}-s{seed}", "step", "9", "AP", f"{4.25 + seed:.1f}"]
        for seed in (0, 1)
        for name in names
    ]
    assert "CrossKD leads [by far]." in said and "race.png" in said.replace("\n", "")


@pytest.fixture
def two_runs(tmp_path, begin):
    """A folder with two finished runs of one method."""
    for seed, ap in enumerate((10.0, 14.0)):
        folder = tmp_path / "runs" / f"crosskd-s{seed}"
        begin(folder, seed=seed, methods=[{"type": "CrossKD", "i": 3}])
        finish_record(folder, "done", results={"AP": ap, "AP50": 2 * ap})
    return tmp_path / "runs"


def test_runs_are_listed_compared_and_written_down(run, two_runs, tmp_path):
    code, said, _ = run("runs", two_runs)
    assert code == 0
    named = [line.split()[0] for line in said.splitlines() if line.startswith("crosskd-s")]
    assert named == ["crosskd-s0", "crosskd-s1"]
    assert "done" in said and "10.0" in said and "14.0" in said
    code, said, _ = run("runs", two_runs, "--compare", "--csv", tmp_path / "c.csv")
    (row,) = pd.read_csv(tmp_path / "c.csv").to_dict("records")
    assert code == 0 and (row["n"], row["mean"]) == (2, 12) and "12.0" in said
    assert run("runs", tmp_path / "none") == (
        1,
        "",
        f"crosskd-lab: no runs below {tmp_path / 'none'}: 'crosskd-lab race' or "
        "'crosskd-lab train' makes some\n",
    )


@pytest.mark.parametrize("act", ["tail", "stop", "resume"])
def test_a_launched_run_is_steered_and_its_end_shown(run, monkeypatch, act):
    done = []

    class Launched:
        folder, reason = Path("runs/x"), ""

        @classmethod
        def open(cls, folder):
            done.append(folder)
            return cls()

        def state(self):
            return {"status": "stopped", "step": 4, "steps": 8}

        def tail(self, lines):
            return f"the last {lines} lines"

        def stop(self):
            done.append("stop")

        def resume(self):
            done.append("resume")

    monkeypatch.setattr("crosskd_lab.runs.processes.Run", Launched)
    monkeypatch.setattr("crosskd_lab.runs.watch.gpu_use", lambda: "")
    monkeypatch.setattr("crosskd_lab.runs.watch.describe", lambda state, why: state["status"])
    code, said, _ = run("runs", f"--{act}", "runs/x")
    assert code == 0 and said == "runs/x: stopped\nthe last 20 lines\n"
    assert done == [Path("runs/x"), *([] if act == "tail" else [act])]


def test_a_sweep_ends_with_a_line_a_run(run, monkeypatch, tmp_path):
    smoke = read_sweep("smoke")

    def swept(declared, names, seeds, runs, place, listener):
        for row in smoke.rows:
            listener(row, 0, {"step": 2})
        return [
            {"row": "kd", "seed": 0, "status": "done", "AP": 3.21},
            {"row": "crosskd", "seed": 0, "status": "failed", "reason": "no room"},
        ]

    monkeypatch.setattr("crosskd_lab.runs.sweep.run_sweep", swept)
    code, said, error = run("sweep", "smoke", "--recorded", tmp_path)
    lines = said.splitlines()
    assert code == 1 and error.endswith(
        "crosskd-lab: 1 of 2 runs failed; the same command tries them again\n"
    )
    assert lines[1] == f"2 runs, 0 of them recorded; {tmp_path}"
    assert lines[-2:] == ["kd-s0: AP 3.2", "crosskd-s0: failed: no room"]


def test_a_check_says_what_agrees_and_what_is_stale(run, monkeypatch, tmp_path):
    append_line(tmp_path / "smoke.jsonl", {})
    found = [("kd", 0, 1e-9), ("crosskd", 0, 0.5)]
    monkeypatch.setattr("crosskd_lab.runs.sweep.replay", lambda *words: iter(found))
    code, said, _ = run("sweep", "smoke", "--check", "--recorded", tmp_path)
    assert code == 0 and said.splitlines() == [
        "kd-s0: agrees (losses differ by 1e-09 of their size)",
        "crosskd-s0: DIFFERS: the row is stale (losses differ by 0.5 of their size)",
    ]


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("--dry-run --gpus 8 --nodes 2", dict(dry_run=True, gpus=8, nodes=2)),
        (
            "--set schedule.steps=7 --tensorboard --seed 5 --processes 2",
            dict(seed=5, processes=2),
        ),
    ],
)
def test_what_a_launch_is_asked_for(run, monkeypatch, words, given):
    asked = []
    monkeypatch.setattr("crosskd_lab.runs.launch.launch", lambda *_, **named: asked.append(named))
    assert run("launch", "pocket/crosskd", *words.split())[0] == 0
    assert {name: asked[0][name] for name in given} == given
    settings = asked[0]["settings"]
    if "--set" in words:
        assert settings["schedule.steps"] == 7 and len(settings) == 2, settings


@pytest.mark.parametrize(
    "verb",
    ["data scenes", "data coco", "data draw", "data check", "teachers get", "teachers list"]
    + ["teachers ship", "teachers check", "workshop pack", "workshop wheels", "workshop collect"],
)
def test_each_part_of_a_verb_explains_itself(run, verb):
    code, said, _ = run(*verb.split(), "--help")
    assert code == 0 and f"crosskd-lab {verb}" in said
