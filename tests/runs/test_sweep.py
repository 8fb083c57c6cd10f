"""A declared sweep runs, records, resumes, survives a failing row, and reports on a test split."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from crosskd_lab.data.scene_sets import data_checksum, write_scenes
from crosskd_lab.engine.evaluate import evaluate, find_saved
from crosskd_lab.errors import LabError
from crosskd_lab.report.results import measured_rows, measured_runs
from crosskd_lab.report.sweep_spec import Row, Sweep, read_lines, read_sweep
from crosskd_lab.runs import sweep
from crosskd_lab.runs.sweep import own_shares, run_sweep, times, to_do

SMALL = {
    "data.size": 96,
    "schedule.steps": 4,
    "schedule.warmup": 1,
    "schedule.batch": 4,
    "schedule.validate_every": 2,
    "teacher.checkpoint": "random",
}
ROWS = (
    Row("none", "pocket/none", SMALL),
    Row("bad", "pocket/crosskd", {**SMALL, "methods.0.i": 9}),
    Row("crosskd", "pocket/crosskd", {**SMALL, "methods.0.i": 3}),
)
SWEEP = Sweep("tiny", "A tiny sweep", 1, ROWS, (0, 1))


@pytest.fixture(scope="module")
def sets(scenes_dir, tmp_path_factory):
    """What to train on, and what to report on."""
    out = tmp_path_factory.mktemp("held_out") / "set"
    return scenes_dir, write_scenes(out, size=96, train=0, val=0, test=8, seed=7)


@pytest.fixture(scope="module")
def swept(sets, tmp_path_factory, one_thread):
    """The sweep with seed 0 run to its end: folder and the lines that it added."""
    out = tmp_path_factory.mktemp("swept")
    lines = run_sweep(SWEEP, seeds=[0], runs=out / "runs", recorded=out / "recorded", data=sets)
    return out, lines


def test_a_failed_row_is_recorded_and_the_next_one_runs(swept):
    out, lines = swept
    assert [(line["row"], line["status"]) for line in lines] == [
        ("none", "done"),
        ("bad", "failed"),
        ("crosskd", "done"),
    ]
    assert "i = 9" in lines[1]["reason"]
    assert "\n" not in lines[1]["reason"]
    written = [json.loads(text) for text in (out / "recorded" / "tiny.jsonl").open()]
    assert written == json.loads(json.dumps(lines))


def test_a_record_has_all_that_is_needed_to_cite_it(swept, sets):
    line = swept[1][2]
    saved = find_saved(swept[0] / "runs" / "tiny" / "crosskd-s0")
    assert line["AP"] == evaluate(saved.config, saved.checkpoint, sets[1], "test")["AP"]
    assert line["data"] == {"train": data_checksum(sets[0]), "test": data_checksum(sets[1])}
    assert line["val"]["AP"] == pytest.approx(line["curve"][-1]["AP"], abs=1e-3)
    assert [row["step"] for row in line["curve"]] == [2, 4]
    assert line["steps"] == 4 and not line["resumed"]
    assert line["teacher"]["sha256"] == "random"
    assert line["parameters"] == swept[1][0]["parameters"] > 100_000
    assert {"commit", "dirty"} <= set(line["git"]) and line["machine"]["cpu"]
    assert line["config_hash"] != swept[1][0]["config_hash"]
    assert " ".join(line["command"]) == "crosskd-lab sweep tiny --only crosskd --seeds 0"
    assert line["commits"] == [line["git"]] and line["begin"] == line["own"] == {}


def test_what_is_done_is_not_run_again_whatever_it_is_called(swept, sets):
    out = swept[0]
    renamed = Sweep("other", "", 2, (Row("same", "pocket/none", dict(SMALL)),), (0,))
    assert to_do(renamed, recorded=out / "recorded") == []
    assert [(row.name, seed) for row, seed in to_do(SWEEP, recorded=out / "recorded")] == [
        ("bad", 0),
        ("none", 1),
        ("bad", 1),
        ("crosskd", 1),
    ]


def test_an_interrupted_run_is_resumed_and_recorded_the_same(swept, sets, tmp_path):
    first = swept[1][2]

    def interrupt(row, seed, metrics):
        if metrics["step"] == 2:
            raise KeyboardInterrupt

    places = dict(runs=tmp_path / "runs", recorded=tmp_path / "recorded", data=sets)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(SWEEP, ["crosskd"], [0], **places, listener=interrupt)
    assert read_lines(tmp_path / "recorded") == []
    (line,) = run_sweep(SWEEP, ["crosskd"], [0], **places)
    assert line["resumed"] and line["AP"] == first["AP"] and line["curve"] == first["curve"]
    assert line["commits"] == [line["git"]] * 2, "one a sitting"


def test_rows_of_a_seed_train_in_one_loop_and_end_as_each_would_alone(
    swept, sets, tmp_path, monkeypatch
):
    together, train = [], sweep.train_together
    monkeypatch.setattr(
        sweep, "train_together", lambda jobs: (together.append(len(jobs)), train(jobs))
    )
    rows = (*ROWS[::2], Row("kd", "pocket/kd", SMALL), Row("pkd", "pocket/pkd", SMALL))
    five = replace(SWEEP, rows=(*rows, Row("again", "pocket/none", {**SMALL, "data.size": 64})))
    places = dict(runs=tmp_path / "runs", recorded=tmp_path / "recorded", data=sets)
    lines = run_sweep(five, seeds=[0], **places)
    assert [line["status"] for line in lines] == ["done"] * 5
    assert together == [4], "four at once, and the fifth alone"
    assert [line.get("shared", False) for line in lines] == [True] * 4 + [False]
    for line, alone in zip(lines, swept[1][::2], strict=False):  # none and crosskd
        assert line["row"] == alone["row"]
        assert line["curve"] == alone["curve"] and line["AP"] == alone["AP"]


def test_a_run_that_trained_beside_others_is_told_so_whenever_it_is_recorded(
    sets, tmp_path, monkeypatch
):
    """Ctrl-C comes when the first line is written; the second run is over, and only measured."""
    pair = replace(SWEEP, rows=ROWS[::2])
    places = dict(runs=tmp_path / "runs", recorded=tmp_path / "recorded", data=sets)
    write = sweep.append_line

    def once(path, line):
        write(path, line)
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "append_line", once)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(pair, seeds=[0], **places)
    monkeypatch.setattr(sweep, "append_line", write)
    monkeypatch.setattr(sweep, "train_together", lambda jobs: pytest.fail("both are over"))
    (line,) = run_sweep(pair, seeds=[0], **places)
    lines = read_lines(tmp_path / "recorded")
    assert [said["shared"] for said in lines] == [True, True] and line["row"] == "crosskd"
    assert not line["resumed"]
    (tmp_path / "recorded" / "tiny.jsonl").unlink()
    assert len(run_sweep(pair, seeds=[0], **places)) == 2, "neither is trained again"


def test_why_rows_go_on_one_by_one_is_said(swept, sets, tmp_path, capsys):
    places = dict(runs=tmp_path / "runs", recorded=tmp_path / "recorded", data=sets)
    lines = run_sweep(SWEEP, ["none", "bad"], [1], **places)
    assert [line["status"] for line in lines] == ["done", "failed"]
    told = capsys.readouterr().err
    assert "crosskd-lab: tiny, seed 1: its rows go on one by one: " in told and "i = 9" in told


def test_an_interrupt_stops_what_runs_side_by_side(monkeypatch, as_at_a_terminal):
    stopped, real = set(), subprocess.Popen

    def start(command, env, **_):
        assert env[sweep.BESIDE]
        process = real([sys.executable, "-c", "import time; time.sleep(60)"])
        end = process.terminate
        process.terminate = lambda: (stopped.add(command[command.index("--only") + 1]), end())
        if "crosskd" in command:  # it reaches this thread, and does not wake the one that waits
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        return process

    monkeypatch.setattr(sweep.subprocess, "Popen", start)
    monkeypatch.setattr(sweep, "scenes_of", lambda sweep: None)
    plan = [(row, 0) for row in ROWS[::2]]
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sweep.run_side_by_side(SWEEP, "tiny", plan, 2)
    assert stopped == {"none", "crosskd"} and time.monotonic() - began < 30


def test_a_superseded_row_is_run_anew_and_its_old_run_is_not_resumed(swept, sets, tmp_path):
    out = tmp_path / "swept"
    shutil.copytree(swept[0], out)
    entry = {"sweep": "tiny", "row": "none", "before": "2100", "reason": "a changed start"}
    (out / "recorded" / "superseded.json").write_text(json.dumps([entry]))
    assert [row.name for row, _ in to_do(SWEEP, seeds=[0], recorded=out / "recorded")] == [
        "none",
        "bad",
    ]
    with pytest.raises(LabError, match="none-s0 holds the superseded run: delete it"):
        run_sweep(SWEEP, ["none"], [0], out / "runs", out / "recorded", sets)
    assert len(read_lines(out / "recorded")) == 3, "nothing lost, nothing added"


def test_the_table_of_contributing_is_measured(sets, tmp_path):
    text = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r'```python\n("""Delivery: .*?)```', text, re.DOTALL)
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 20
    (tmp_path / "delivery.py").write_text(code, encoding="utf-8")
    declared = read_sweep(tmp_path / "delivery.py")
    rows = tuple(replace(row, settings={**row.settings, **SMALL}) for row in declared.rows)
    declared = replace(declared, rows=rows)
    run_sweep(declared, seeds=[0], runs=tmp_path / "runs", recorded=tmp_path, data=sets)
    table = measured_rows(measured_runs(declared, tmp_path))
    assert table["row"].tolist() == ["none", "crosskd_1", "crosskd_3"]
    assert table["n"].tolist() == [1, 1, 1] and table["mean"].notna().all()


def test_an_unknown_row_is_refused(tmp_path):
    with pytest.raises(LabError, match="tiny has no row 'kd': it has none, bad, crosskd"):
        run_sweep(SWEEP, ["kd"], recorded=tmp_path)


def test_the_students_own_share_is_the_last_that_was_logged():
    rows = {"kind": ["train", "train", "val"], "loss": [3.0, 2.0, None], "step": [10, 20, 20]}
    shares = {"own_crosskd_cls": [-0.2, 0.34567, None], "own_crosskd_reg": [0.1, 0.5, None]}
    found = own_shares(pd.DataFrame(rows | shares))
    assert found == {"own_crosskd_cls": 0.3457, "own_crosskd_reg": 0.5}
    assert own_shares(pd.DataFrame(rows)) == {}


def test_time_in_training_is_that_of_the_steps():
    rows = [(10, "train", 2.0), (10, "val", None), (20, "train", 1.0), (30, "train", 1.5)]
    metrics = pd.DataFrame(rows, columns=["step", "kind", "seconds_per_step"])
    assert times(metrics) == {"train_seconds": 45.0, "step_seconds": 1.5}
    assert times(metrics[["step", "kind"]])["train_seconds"] == 0
