"""Exported detectors open in stock mmdet and detect there what they detect here."""

import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from crosskd_lab.configs import config_text, detector_of, find_config, read_config
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.evaluate import export, find_saved, split_settings
from crosskd_lab.engine.train import train
from crosskd_lab.errors import LabError
from crosskd_lab.pair import build_detector, load_in_full
from crosskd_lab.stack.checkpoints import load_from_local, read_weights


@pytest.fixture(scope="module")
def run(scenes_dir, tmp_path_factory):
    """A distilled student of two steps."""
    settings = {"teacher.checkpoint": "random", "data.size": 64, "schedule.steps": 2}
    cfg = load_experiment("pocket/crosskd", {**settings, "schedule.batch": 2}, scenes_dir)
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(cfg, folder)
    return folder


def test_stock_mmdet_opens_it(run, scenes_dir, tmp_path):
    from mmdet.apis import init_detector

    checkpoint, config = export(run, tmp_path / "student.pth")
    assert "crosskd_lab" not in config.read_text() and "WholeBackbone" not in config.read_text()
    torch.load(checkpoint, weights_only=True)
    detector = init_detector(str(config), str(checkpoint), device="cpu")
    assert type(detector).__module__ == "mmdet.models.detectors.gfl"
    assert tuple(detector.dataset_meta["classes"])[:2] == ("disc", "ring")


def test_what_is_exported_detects_what_it_detects_here(scenes_dir, tmp_path):
    from mmdet.apis import inference_detector, init_detector

    checkpoint, config = export("gfl_r18_w32", tmp_path / "teacher.pth")
    detector = init_detector(str(config), str(checkpoint), device="cpu")
    image = scenes_dir / "val" / "000000.png"
    theirs = inference_detector(detector, str(image)).pred_instances.bboxes
    ours = measured_boxes(find_saved("gfl_r18_w32"), scenes_dir)
    assert len(ours) == len(theirs) > 0
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-3)


def measured_boxes(saved, data):
    """The lab's own detections on the first validation image, as its evaluation has them."""
    cfg = detector_of(read_config(saved.config))
    _, settings = split_settings(cfg, cfg.data.classes, data, "val", skip_bad=False)
    detector = build_detector(cfg.model).eval()
    load_in_full(detector, saved.checkpoint)
    with DefaultScope.overwrite_default_scope("mmdet"), torch.no_grad():
        batch = pseudo_collate([DATASETS.build(settings)[0]])
        return detector.test_step(batch)[0].pred_instances.bboxes


def test_stock_mmdet_opens_one_of_mmdets_own_schedule(scenes_dir, tmp_path):
    """It finds the classes, and how an image is prepared."""
    from mmdet.apis import init_detector
    from mmdet.utils import get_test_pipeline_cfg

    cfg = load_experiment("paper/table1_none", {"teacher.checkpoint": "random"}, scenes_dir)
    (tmp_path / "config.py").write_text(config_text(cfg))
    detector = build_detector(cfg.model.student)
    meta = {"dataset_meta": {"classes": tuple(cfg.model.classes)}}
    torch.save({"meta": meta, "state_dict": detector.state_dict()}, tmp_path / "w.pth")
    checkpoint, config = export(tmp_path / "w.pth", tmp_path / "out.pth", tmp_path / "config.py")
    opened = init_detector(str(config), str(checkpoint), device="cpu")
    assert opened.dataset_meta["classes"] == tuple(cfg.model.classes)
    steps = [step["type"] for step in get_test_pipeline_cfg(opened.cfg)]
    assert steps == [step["type"] for step in cfg.val_dataloader.dataset.pipeline]


def test_weights_without_names_are_exported_with_the_set_to_be_named(tmp_path):
    detector = build_detector(read_config("pocket/gfl_r18_w16").model)
    torch.save({"state_dict": detector.state_dict()}, tmp_path / "bare.pth")
    config = tmp_path / "mine.py"
    config.write_text(
        f"_base_ = {str(find_config('pocket/gfl_r18_w16'))!r}\n"
        "custom_imports = dict(imports=['json', 'crosskd_lab.engine.train'])\n"
    )
    _, written = export(tmp_path / "bare.pth", tmp_path / "out.pth", config)
    said = read_config(written)
    assert "metainfo" not in said.test_dataloader.dataset
    assert said.custom_imports["imports"] == ["json"], "what builds a backbone of one's own"
    build_detector(said.model).load_state_dict(read_weights(tmp_path / "out.pth"))


def test_a_failed_export_leaves_nothing(run, tmp_path, monkeypatch):
    def full_disk(path, content):
        raise LabError("full")

    monkeypatch.setattr(
        "crosskd_lab.engine.evaluate.write_whole", full_disk
    )  # of the config, the last
    with pytest.raises(LabError, match="full"):
        export(run, tmp_path / "new" / "er" / "student.safetensors")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    monkeypatch.undo()
    with pytest.raises(LabError, match="cannot be written .a file is where a folder is meant"):
        export(run, tmp_path / "file" / "student.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_weights_are_the_runs_and_load_strictly(run, tmp_path, suffix):
    checkpoint, config = export(run, tmp_path / f"student{suffix}")
    saved = load_from_local(run / "iter_2.pth")["state_dict"]
    weights = read_weights(checkpoint)
    assert weights.keys() == saved.keys()
    assert all(torch.equal(weights[name], saved[name]) for name in saved)
    build_detector(read_config(config).model).load_state_dict(weights, strict=True)


def test_nothing_is_overwritten_and_suffixes_are_known(run, tmp_path):
    with pytest.raises(LabError, match="suffixes"):
        export(run, tmp_path / "student.onnx")
    (tmp_path / "student.py").write_text("mine")
    with pytest.raises(LabError, match="is there already"):
        export(run, tmp_path / "student.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["student.py"]
