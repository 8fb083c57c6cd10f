"""Shipped teachers: what their record promises holds on scenes drawn now."""

import json
import re
import shutil

import pytest
import torch

from crosskd_lab.configs import TEACHERS, read_config
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.record import read_record
from crosskd_lab.engine.teacher import FIRST_SEED, LARGEST, check, fresh_ap, ship, summary
from crosskd_lab.engine.train import train
from crosskd_lab.errors import LabError
from crosskd_lab.files import PROJECT, sha256
from crosskd_lab.pair import build_detector, load_in_full
from crosskd_lab.stack.checkpoints import read_weights

TABLE = (PROJECT / "docs" / "regime.md").read_text(encoding="utf-8")
SHIPPED = re.findall(r"^\| (\w+_r18_w32) \|", TABLE, re.MULTILINE)  # and not those of one's own


@pytest.mark.parametrize("name", SHIPPED)
class TestShipped:
    def test_it_is_the_small_file_of_its_record(self, name):
        file, record = TEACHERS / f"{name}.safetensors", read_record(TEACHERS / name)
        assert file.stat().st_size <= LARGEST
        assert file.stat().st_size == record["shipped"]["bytes"]
        assert sha256(file) == record["shipped"]["sha256"]
        assert record["status"] == "done" and record["git"]["commit"]
        promised = record["held_out"]
        again = summary(promised["AP"])
        for key in ("mean", "sd", "interval"):
            assert promised[key] == pytest.approx(again[key]), key
        assert len(promised["seeds"]) == len(promised["AP"]) == len(set(promised["seeds"]))
        assert promised["interval"][0] > 10  # worth keeping: an untrained detector has 0

    def test_the_pocket_config_of_its_kind_fits_it(self, name):
        config = f"pocket/{name.replace('_early', '')}"
        load_in_full(build_detector(read_config(config).model), TEACHERS / f"{name}.safetensors")

    def test_it_keeps_its_promise_on_fresh_scenes(self, name):
        """60 scenes instead of 250, so that all teachers take a minute and not four."""
        seed = 31337
        assert seed not in read_record(TEACHERS / name)["held_out"]["seeds"]
        verdict = check(name, seed, images=60)
        assert verdict.inside, verdict


@pytest.fixture(scope="module")
def run(scenes_dir, tmp_path_factory):
    """A detector trained for some steps on 96-pixel scenes."""
    steps = {"schedule.steps": 20, "schedule.batch": 4, "schedule.warmup": 5, "schedule.lr": 0.05}
    cfg = load_experiment("pocket/gfl_r18_w16", {"data.size": 96, **steps}, scenes_dir)
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(cfg, folder)
    return folder


@pytest.fixture(scope="module")
def shipped_once(run, tmp_path_factory):
    """A folder of teachers with one called "tiny"; read it only."""
    folder = tmp_path_factory.mktemp("shipped") / "teachers"
    ship(run, "tiny", sets=2, images=8, folder=folder)
    return folder


@pytest.fixture
def shipped(shipped_once, tmp_path):
    """A copy of it."""
    return shutil.copytree(shipped_once, tmp_path / "teachers")


def test_what_is_shipped_is_small_whole_and_told(run, shipped):
    files = {path.relative_to(shipped).as_posix() for path in shipped.rglob("*") if path.is_file()}
    assert files == {"tiny.safetensors", "tiny/config.py", "tiny/record.json"}
    trained = read_weights(run / "iter_20.pth")
    halved = read_weights(shipped / "tiny.safetensors")
    assert all(torch.equal(halved[k], v.half().float()) for k, v in trained.items() if v.ndim)
    record, before = read_record(shipped / "tiny"), read_record(run)
    assert {key: record[key] for key in before} == before
    assert record["shipped"] == {
        "sha256": sha256(shipped / "tiny.safetensors"),
        "bytes": (shipped / "tiny.safetensors").stat().st_size,
        "precision": "float16",
    }
    held_out = record["held_out"]
    assert (held_out["images"], held_out["seeds"]) == (8, [FIRST_SEED, FIRST_SEED + 1])
    again = [check("tiny", seed, shipped).ap for seed in held_out["seeds"]]
    assert held_out["AP"] == pytest.approx(again)


def test_fewer_images_widen_the_interval(shipped):
    whole, quarter = check("tiny", 3, shipped), check("tiny", 3, shipped, images=2)
    middle = (whole.low + whole.high) / 2
    assert quarter.high - middle == pytest.approx(2 * (whole.high - middle))
    assert middle - quarter.low == pytest.approx(2 * (middle - whole.low))


def test_the_config_carries_no_folder_of_this_machine(run, shipped):
    text = (shipped / "tiny" / "config.py").read_text()
    assert "annotations" not in text and "'num_classes': 10" in text


def test_the_interval_is_that_of_one_more_set():
    # mean 20, sd 1 (n - 1); t(0.995, 2) = 9.925 (tables of Student's t), sqrt(1 + 1/3)
    said = summary([19.0, 20.0, 21.0])
    reach = 9.925 * 1 * (4 / 3) ** 0.5
    assert (said["mean"], said["sd"]) == (20, 1)
    assert said["interval"] == pytest.approx([20 - reach, 20 + reach], rel=1e-4)
    with pytest.raises(LabError, match="2 or more sets"):
        summary([20.0])


def test_another_file_under_the_name_is_found_out(shipped):
    content = (shipped / "tiny.safetensors").read_bytes()
    (shipped / "tiny.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(LabError, match="is not the file of its record"):
        check("tiny", 3, shipped)
    with pytest.raises(LabError, match="there is no shipped teacher 'nope': .* has tiny"):
        check("nope", 3, shipped)


def test_only_finished_runs_and_free_names_are_shipped(run, shipped, tmp_path, monkeypatch):
    with pytest.raises(LabError, match="is there already"):
        ship(run, "tiny", sets=2, images=4, folder=shipped)
    half_done = shutil.copytree(run, tmp_path / "stopped")
    record = json.loads((half_done / "record.json").read_text()) | {"status": "stopped"}
    (half_done / "record.json").write_text(json.dumps(record))
    with pytest.raises(LabError, match="is stopped, not done"):
        ship(half_done, "other", sets=2, images=4, folder=shipped)
    assert not (shipped / "other").exists()
    foreign = shutil.copytree(run, tmp_path / "foreign")
    cfg = read_config(foreign / "config.py")
    cfg.pop("data")
    (foreign / "config.py").write_text(cfg.pretty_text)
    with pytest.raises(LabError, match="on mmdet's own schedule: only pocket runs are shipped"):
        ship(foreign, "other", sets=2, images=4, folder=shipped)
    monkeypatch.setattr("crosskd_lab.engine.teacher.LARGEST", 1000)
    with pytest.raises(LabError, match=r"other takes \d\.\d MB, more than 8: ship less"):
        ship(run, "other", sets=2, images=4, folder=shipped)
    for name in ("../x", "a/b", "", ".", ".x"):
        with pytest.raises(LabError, match="is no teacher's name"):
            ship(run, name, sets=2, images=4, folder=shipped)


def test_one_config_serves_any_number_of_held_out_sets():
    """mmdet's DETRs write into the config that they are built from, and refuse it afterwards."""
    cfg = read_config("pocket/deformable_r18_w32")
    checkpoint = TEACHERS / "deformable_r18_w32.safetensors"
    first, second = (fresh_ap(cfg, checkpoint, FIRST_SEED, images=4)["AP"] for _ in range(2))
    assert first == second > 0
