"""Killed at any moment, twice at a time, without room: what comes of it is equal to the bit."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from crosskd_lab.data.scene_sets import write_scenes
from crosskd_lab.engine.hooks import last_checkpoint
from crosskd_lab.engine.record import read_metrics, read_record
from crosskd_lab.stack.checkpoints import load_from_local

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children: no fork")
Many = dict[str, list[list[Any]]]

QUICK: Many = {
    "train": [[0.5, 0.3], ["twins"]],
    "race": [[0.7]],
    "sweep": [["twins"]],
    "scenes": [[0.9, 0.2], ["twins"]],
}
"""How the children of every run die; one more finishes it."""
COUNTS = {"train": 20, "race": 7, "sweep": 7, "scenes": 10}


def drawn(kind):
    """One to three kills a run, at moments that the kind alone decides; twins, and a full disk."""
    chance = random.Random(kind)
    kills = [[chance.random() for _ in range(1 + n % 3)] for n in range(COUNTS[kind])]
    return [*kills, ["twins"], *([["full"]] if kind in ("train", "race") else [])]


@pytest.fixture
def suffer(scenes_dir, tmp_path):
    """Run every kind undisturbed and as told, and compare."""
    data = tmp_path / "data"
    data.symlink_to(scenes_dir)
    write_scenes(tmp_path / "held_out", size=96, train=0, val=0, test=8, seed=7)

    def run(plan: Many) -> None:
        jobs = []
        for kind, runs in plan.items():
            for number, deaths in enumerate([[], *runs]):
                folder = tmp_path / f"{kind}-{number}"
                jobs.append(dict(kind=kind, folder=str(folder), data=str(data), deaths=deaths))
        file = tmp_path / "jobs.json"
        file.write_text(json.dumps(jobs))
        done = subprocess.run(
            [sys.executable, "-W", "ignore", HERE / "victims.py", file],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
        for job, said in zip(jobs, done.stdout.splitlines(), strict=True):
            check_ends(job, json.loads(said), done.stderr)
            compare(job["kind"], Path(job["folder"]), tmp_path / f"{job['kind']}-0")

    return run


def check_ends(job, ends, said):
    """Kills killed, a full disk gave one line, of twins one worked; the last came to its end."""
    assert ends[-1] == 0 and 2 not in ends, (job, ends, said)
    if job["deaths"] == ["twins"]:
        waits = job["kind"] == "scenes"  # the second then finds the set whole
        assert sorted(ends[:-1]) == ([0, 0] if waits else [0, 1]), (job, ends, said)
        assert waits or "is being written by process" in said
    elif job["deaths"] == ["full"]:
        assert ends[0] == 1 and "cannot be written" in said, (job, ends, said)
    else:
        assert set(ends[:-1]) <= {-9, 0} and (not ends[:-1] or ends[0] == -9), (job, ends, said)


def compare(kind, ours, theirs):
    """Equal to the bit, but for what tells of time and place."""
    if kind == "scenes":
        files = sorted(path.relative_to(theirs) for path in theirs.rglob("*") if path.is_file())
        found = sorted(path.relative_to(ours) for path in ours.rglob("*") if path.is_file())
        assert found == files
        assert all((ours / name).read_bytes() == (theirs / name).read_bytes() for name in files)
        return
    runs = sorted(path.parent.relative_to(theirs) for path in theirs.rglob("record.json"))
    assert runs
    for run in runs:
        same_run(ours / run, theirs / run)
    if kind == "race":
        for name in ("race.md", "race.json"):
            assert (ours / name).read_text() == (theirs / name).read_text()
        tables = [pd.read_csv(folder / "race.csv") for folder in (ours, theirs)]
        assert tables[0].equals(tables[1])
    if kind == "sweep":
        told = [json.loads(line) for line in (ours / "recorded/tiny.jsonl").open()]
        expected = [json.loads(line) for line in (theirs / "recorded/tiny.jsonl").open()]
        assert [line["status"] for line in told] == ["done", "done"], "one record a row, no failure"
        for mine, other in zip(told, expected, strict=True):
            assert all(mine[key] == other[key] for key in ("row", "AP", "val", "curve", "begin"))


def same_run(ours, theirs):
    """The last checkpoint, every row of metrics, and the results."""
    last = last_checkpoint(theirs).name
    mine, other = load_from_local(ours / last), load_from_local(theirs / last)
    for part in ("state_dict", "optimizer", "param_schedulers", "distillation"):
        assert same(mine.get(part), other.get(part)), (ours, part)
    rows = [read_metrics(folder) for folder in (ours, theirs)]
    rows = [table.drop(columns="seconds_per_step", errors="ignore") for table in rows]
    assert rows[0].equals(rows[1]), ours
    text = (ours / "metrics.jsonl").read_text()
    assert len(text.splitlines()) == len(rows[0]), "no row twice, none broken"
    records = [read_record(folder) for folder in (ours, theirs)]
    assert records[0]["results"] == records[1]["results"]
    assert [record["status"] for record in records] == ["done", "done"]


def same(a, b):
    """Bit equality of nested dicts, lists and tensors."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def test_what_was_killed_or_begun_twice_ends_as_if_it_had_not_been(suffer):
    suffer(QUICK)


@pytest.mark.faults
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("kind", COUNTS)
def test_killed_anywhere(suffer, kind):
    suffer({kind: drawn(kind)})
