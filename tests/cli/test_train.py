"""``crosskd-lab train`` on people's own data: what it makes of it, and what it refuses."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from crosskd_lab.cli.options import parse_settings
from crosskd_lab.engine.hooks import last_checkpoint
from crosskd_lab.engine.record import read_record
from crosskd_lab.errors import LabError
from crosskd_lab.stack.checkpoints import read_weights

QUICK = ["data.size=64", "schedule.steps=2", "schedule.batch=2", "schedule.validate_every=1"]
SETS = [word for pair in QUICK for word in ("--set", pair)]


@pytest.fixture
def pets(tmp_path):
    """A set of 4 training and 2 validation JPEGs of several sizes, with two classes."""
    root, rng = tmp_path / "pets", np.random.default_rng(0)
    (root / "annotations").mkdir(parents=True)
    for split, count in (("train", 4), ("val", 2)):
        (root / split).mkdir()
        images, boxes = [], []
        for i in range(count):
            width, height, name = 60 + 20 * i, 80, f"{split} {i}.jpg"
            pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / name)
            images.append({"id": 7 * i, "file_name": name, "width": width, "height": height})
            for category in (3, 9):
                box = {"id": len(boxes) + 1, "image_id": 7 * i, "category_id": category}
                box |= {"bbox": [5, 5, 30, 4 * category], "area": 120 * category, "iscrowd": 0}
                boxes.append(box)
        categories = [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}]
        document = {"images": images, "annotations": boxes, "categories": categories}
        (root / "annotations" / f"{split}.json").write_text(json.dumps(document))
    return root


def test_classes_come_from_the_annotation_file(run, pets, tmp_path):
    out, file = tmp_path / "run", pets / "annotations" / "train.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps(document | {"categories": document["categories"][::-1]}))
    code, said, bar = run(
        "train", "pocket/gfl_r18_w16", "--data", pets, *SETS, "--out", out, "--seed", 5
    )
    report, result = said.splitlines()
    assert code == 0 and result.startswith(f"{out}: AP ")
    assert report.startswith("train: 4 images, 8 boxes, no bad record; 2 records put right")
    assert "2/2" in bar
    assert (out / "config.py").read_text().count("'classes': ['cat', 'dog']") == 1
    weights = read_weights(last_checkpoint(out))
    assert weights["bbox_head.gfl_cls.weight"].shape[0] == 2
    record = read_record(out)
    assert (record["status"], record["seed"], record["teacher"]) == ("done", 5, None)
    assert record["data"]["path"] == str(pets)


def change(pets, **entries):
    """Change the second training box, or with ``image=...`` the second image."""
    file = pets / "annotations" / "train.json"
    document = json.loads(file.read_text())
    document["images"][1].update(entries.pop("image", {}))
    document["annotations"][1].update(entries)
    file.write_text(json.dumps(document))


def cut(file, keep):
    file.write_bytes(file.read_bytes()[:keep])


BAD = {
    "missing image": lambda pets: (pets / "train/train 1.jpg").unlink(),
    "truncated JPEG": lambda pets: cut(pets / "train/train 1.jpg", 900),
    "box outside the image": lambda pets: change(pets, bbox=[50, 50, 40, 40]),
    "duplicate image id": lambda pets: change(pets, image={"id": 0}),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_record_is_one_line_that_names_file_and_record(run, pets, tmp_path, kind):
    BAD[kind](pets)
    code, said, error = run(
        "train", "pocket/gfl_r18_w16", "--data", pets, *SETS, "--out", tmp_path / "run"
    )
    assert (code, said) == (1, "")
    assert error.count("\n") == 1 and error.startswith("crosskd-lab: ")
    assert str(pets / "annotations" / "train.json") in error
    record = r"train\.json: (image \d .*train \d\.jpg|annotation [12] on train 0\.jpg)"
    assert re.search(record, error)
    assert "--skip-bad" in error
    assert not (tmp_path / "run").exists()


def test_broken_json_is_one_line(run, pets, tmp_path):
    cut(pets / "annotations" / "train.json", 100)
    code, said, error = run(
        "train", "pocket/gfl_r18_w16", "--data", pets, "--skip-bad", "--out", tmp_path / "run"
    )
    assert (code, said, error.count("\n")) == (1, "", 1)
    assert str(pets / "annotations" / "train.json") in error and "is broken" in error


def test_skip_bad_trains_on_the_rest_and_reports(run, pets, tmp_path):
    BAD["truncated JPEG"](pets)
    arguments = ["--data", pets, *SETS, "--skip-bad", "--out", tmp_path / "run"]
    code, said, _ = run("train", "pocket/gfl_r18_w16", *arguments)
    assert code == 0
    record, report, result = said.splitlines()
    assert record.startswith(f"{pets / 'annotations' / 'train.json'}: ") and ".jpg" in record
    assert report.startswith("train: left out 1 of 4 images and 2 of 8 boxes (")
    assert result.startswith(f"{tmp_path / 'run'}: AP ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pocket/none_such"], "there is no config 'pocket/none_such'"),
        (["pocket/gfl_r18_w16", "--data", "nowhere"], "nowhere"),
        (["pocket/gfl_r18_w16", "--set", "steps"], "--set takes KEY=VALUE"),
        (["pocket/gfl_r18_w16", "--set", "schedul.steps=1"], "schedul"),
    ],
)
def test_a_mistake_in_the_command_is_one_line(run, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, out, error = run("train", *arguments)
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert said in error
    assert not list(tmp_path.iterdir())


def test_settings_are_literals_or_text():
    parsed = parse_settings(["a.b=1", "c=x/y", "d=[1, 2]", "e=None", "f=a=b", "g=false"])
    assert parsed == {"a.b": 1, "c": "x/y", "d": [1, 2], "e": None, "f": "a=b", "g": False}
    with pytest.raises(LabError, match="KEY=VALUE"):
        parse_settings(["=1"])


def command(*words):
    """``crosskd-lab`` as a user's shell runs it."""
    code = "import sys; from crosskd_lab.cli import main; sys.argv[0] = 'crosskd-lab'; main()"
    line = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, env={**os.environ})


def test_the_terminal_shows_a_bar_and_one_line(pets, tmp_path):
    arguments = ["pocket/gfl_r18_w16", "--data", pets, *SETS, "--out", tmp_path / "run"]
    done = command("train", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'run'}: AP ") and done.stdout.count("\n") == 1
    lines = [line for line in done.stderr.replace("\r", "\n").split("\n") if line.strip()]
    assert lines and all(line.startswith("run: ") for line in lines), done.stderr
    assert "step/s" in lines[-1] or "s/step" in lines[-1]


def test_a_real_set_trains(real_data, run, tmp_path):
    settings = ["data.size=160", "schedule.steps=4", "schedule.batch=2"]
    words = [word for pair in settings for word in ("--set", pair)]
    arguments = ["--data", real_data / "bccd", *words, "--skip-bad", "--out", tmp_path / "run"]
    code, said, error = run("train", "pocket/gfl_r18_w16", *arguments)
    assert code == 0, error
    assert said.splitlines()[-1].startswith(f"{tmp_path / 'run'}: AP ")
    assert read_record(tmp_path / "run")["results"]["AP"] >= 0
