"""AP of saved detectors: the same number as in training, for anything that names a detector."""

import json
import shutil

import pytest
import torch
from mmengine.config import Config

from crosskd_lab.configs import find_config, read_config, teacher_file
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.evaluate import evaluate, find_saved
from crosskd_lab.engine.metrics import NAMES
from crosskd_lab.engine.train import train
from crosskd_lab.errors import LabError
from crosskd_lab.stack.checkpoints import read_weights, save_weights


@pytest.fixture(scope="module")
def run(scenes_dir, tmp_path_factory):
    """A student distilled for some steps, and the results that its training has measured."""
    settings = {"teacher.checkpoint": "random", "data.size": 96, "schedule.lr": 0.05}
    steps = {"schedule.steps": 30, "schedule.batch": 4, "schedule.warmup": 5}
    cfg = load_experiment("pocket/none", {**settings, **steps}, scenes_dir, seed=0)
    folder = tmp_path_factory.mktemp("runs") / "run"
    return folder, train(cfg, folder)


@pytest.fixture(scope="module")
def expected(run):
    """What that student scores on its validation images."""
    folder, _ = run
    return evaluate(folder / "config.py", folder / "iter_30.pth")


def test_a_run_scores_what_its_training_measured(run, scenes_dir, capfd):
    folder, results = run
    found = find_saved(folder)
    assert found.checkpoint == folder / "iter_30.pth"
    measured = evaluate(found.config, found.checkpoint)
    assert list(measured) == [name for name in NAMES if name in results]
    assert measured["AP50"] > 0  # 30 steps find something: the comparison is not of zeros
    assert measured == pytest.approx({k: v for k, v in results.items() if k.startswith("AP")})
    # weights in another format, the set by name: the same
    file = folder.parent / "student.safetensors"
    save_weights(read_weights(found.checkpoint), file, half=False)
    assert evaluate(found.config, file, scenes_dir) == pytest.approx(measured)
    assert capfd.readouterr() == ("", "")


def test_classes_are_matched_by_name(run, expected, scenes_dir, tmp_path):
    folder, _ = run
    other = shutil.copytree(scenes_dir, tmp_path / "other")
    file = other / "annotations" / "val.json"
    document = json.loads(file.read_text())
    for category in document["categories"]:  # ids in the reverse order
        category["id"] = 11 - category["id"]
        category["name"] = f" {category['name']}\u00a0"  # which nobody sees
    for annotation in document["annotations"]:
        annotation["category_id"] = 11 - annotation["category_id"]
    file.write_text(json.dumps(document))
    assert evaluate(folder / "config.py", folder / "iter_30.pth", other) == pytest.approx(expected)
    document["categories"][0]["name"] = "teapot"
    file.write_text(json.dumps(document))
    with pytest.raises(LabError, match="boxes of classes that the detector does not know: teapot"):
        evaluate(folder / "config.py", folder / "iter_30.pth", other)


@pytest.mark.parametrize("suffix", [".pt", ".PTH", "", ".safetensors"])
def test_a_files_own_names_decide_whatever_the_config_says(run, expected, tmp_path, suffix):
    folder, _ = run
    cfg = read_config(folder)
    names = list(cfg.data.classes)
    cfg.data.classes = names[::-1]
    weights, file = read_weights(folder / "iter_30.pth"), tmp_path / f"student{suffix}"
    if suffix == ".safetensors":
        save_weights(weights, file, half=False, classes=names)
    else:
        torch.save({"state_dict": weights, "meta": {"CLASSES": tuple(names)}}, file)
    assert evaluate(cfg, file) == pytest.approx(expected)


def test_a_config_without_images_says_what_it_lacks(tmp_path):
    bare = Config(dict(model=read_config("mmdet::gfl/gfl_r50_fpn_1x_coco.py").model))
    with pytest.raises(LabError, match="has neither data = dict.* nor mmdet's val_dataloader"):
        evaluate(bare, tmp_path / "none.pth")
    bare.data, bare.val_dataloader = dict(root="x"), None
    with pytest.raises(LabError, match="has neither data = dict.* nor mmdet's val_dataloader"):
        evaluate(bare, tmp_path / "none.pth")


def test_a_config_is_left_as_it_was(run, scenes_dir):
    """The next set that is measured by it is its own again, not this one's."""
    cfg = read_config(run[0] / "config.py")
    before = cfg.pretty_text
    evaluate(cfg, run[0] / "iter_30.pth", scenes_dir, "train")
    assert cfg.pretty_text == before


def test_a_stock_configs_run_is_read_as_its_training_read(scenes_dir, tmp_path):
    parts = "datasets/coco_detection", "schedules/schedule_1x", "default_runtime"
    bases = [find_config(f"mmdet::_base_/{part}.py") for part in parts]
    model = read_config("pocket/gfl_r18_w32").model.to_dict()
    file, scale = tmp_path / "stock.py", (96, 96)
    file.write_text(f"_base_ = {bases}\nmodel = {model}\n")
    settings = {
        "train_cfg.max_epochs": 1,
        "optim_wrapper.optimizer.lr": 0.0,
        "train_dataloader.dataset.pipeline.2.scale": scale,
        "val_dataloader.dataset.pipeline.1.scale": scale,
        "load_from": teacher_file("gfl_r18_w32"),
        **{f"{split}_dataloader.num_workers": 0 for split in ("train", "val")},
        **{f"{split}_dataloader.persistent_workers": False for split in ("train", "val")},
    }
    results = train(load_experiment(file, settings, scenes_dir), tmp_path / "run")
    expected = {k: v for k, v in results.items() if k.startswith("AP")}
    assert expected["AP"] > 20  # the shipped teacher's, on small pictures
    found = find_saved(tmp_path / "run")
    for data in (None, scenes_dir):
        assert evaluate(found.config, found.checkpoint, data) == pytest.approx(expected)
    trained_on = evaluate(found.config, found.checkpoint, split="train")
    assert trained_on["AP"] not in (expected["AP"], 0)


def test_what_names_no_detector_is_told(tmp_path, run):
    with pytest.raises(LabError, match="there is no nobody: give a run folder"):
        find_saved("nobody")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabError, match="holds no checkpoint"):
        find_saved(tmp_path / "empty")
    with pytest.raises(LabError, match="say with --config"):
        find_saved(run[0] / "iter_30.pth")
    assert find_saved(run[0] / "iter_30.pth", "pocket/none").config == "pocket/none"
