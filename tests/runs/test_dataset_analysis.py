"""A pair held against a set: stopped and resumed, it counts what one go would have counted."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from mmengine.config import Config

from crosskd_lab.classes import trained_classes
from crosskd_lab.configs import RANDOM, TEACHERS, read_config
from crosskd_lab.data.scene_sets import write_scenes
from crosskd_lab.errors import LabError
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.report.sweep_spec import RECORDED, TEST
from crosskd_lab.runs.dataset_analysis import analyse_conflict, analyse_gradients, open_analysis
from crosskd_lab.stack.checkpoints import read_weights

CONFIG = "pocket/gfl_r18_w16"


@pytest.fixture(scope="module")
def analysis(scenes_dir):
    return open_analysis(RANDOM, CONFIG, scenes_dir, teacher_config=CONFIG)


@pytest.fixture(scope="module")
def whole(analysis):
    return analyse_conflict(analysis, batch=4)


class Killed(Exception):
    pass


def stop_after(analysis, images, monkeypatch):
    """Let the set break off when the image at index ``images`` is asked for."""
    original = type(analysis.dataset).__getitem__

    def read(self, index):
        if index >= images:
            raise Killed
        return original(self, index)

    monkeypatch.setattr(type(analysis.dataset), "__getitem__", read)


def test_the_set_is_read_once_in_order(analysis):
    ids = [s.img_id for batch in analysis.batches(5) for s in batch["data_samples"]]
    assert ids == sorted(set(ids))
    assert len(ids) == 8
    later = [s.img_id for batch in analysis.batches(3, 2, 7) for s in batch["data_samples"]]
    assert later == ids[2:7]
    assert not analysis.pair.student.training and not analysis.pair.teacher.training


def test_everything_is_counted(analysis, whole):
    assert whole.images == 8
    # 160 x 160 pixels: 20 x 20, 10 x 10, 5 x 5, 3 x 3 and 2 x 2 locations, none ignored.
    per_level = whole.counts.sum((1, 2, 3)) / 8
    assert per_level.tolist() == [400, 100, 25, 9, 4]
    boxes = sum(len(s["data_samples"].gt_instances) for s in analysis.dataset)
    assert whole.positives.sum() >= boxes


def test_conflict_goes_by_the_names_of_classes_not_by_their_ids(scenes_dir, turned_dir, tmp_path):
    shipped = TEACHERS / "gfl_r18_w32.safetensors"
    names = trained_classes(Config(), shipped)
    file = tmp_path / "teacher.pt"
    torch.save({"state_dict": read_weights(shipped), "meta": {"CLASSES": tuple(names)}}, file)
    ratios = []
    for data in (scenes_dir, turned_dir):
        opened = open_analysis(str(file), CONFIG, data, teacher_config="pocket/gfl_r18_w32")
        frame = analyse_conflict(opened).frame()
        assert opened.classes == tuple(names)
        ratios.append(frame[frame["by"] == "class"]["ratio"].to_numpy())
    assert np.array_equal(*ratios, equal_nan=True)


@pytest.mark.parametrize("batch", [1, 8])
def test_the_batch_size_does_not_matter(analysis, whole, batch):
    other = analyse_conflict(analysis, batch=batch)
    assert (other.positives == whole.positives).all()
    # Sums of floats in another order move a location across a bin's edge at most rarely.
    assert abs(other.counts - whole.counts).sum() <= 2 * 0.01 * whole.counts.sum()


def test_killed_and_resumed_equals_uninterrupted(analysis, whole, tmp_path, monkeypatch):
    state = tmp_path / "counts.npz"
    with monkeypatch.context() as patch:
        stop_after(analysis, 7, patch)
        with pytest.raises(Killed):
            analyse_conflict(analysis, state=state, batch=2, every=4)
    read = []
    original = type(analysis.dataset).__getitem__
    monkeypatch.setattr(
        type(analysis.dataset), "__getitem__", lambda s, i: read.append(i) or original(s, i)
    )
    resumed = analyse_conflict(analysis, state=state, batch=2, every=4)
    assert read == list(range(4, 8))  # 6 were counted, 4 of them were written down
    assert (resumed.counts == whole.counts).all()
    assert (resumed.positives == whole.positives).all()
    assert [path.name for path in tmp_path.iterdir()] == ["counts.npz"]


def test_a_finished_analysis_is_read_not_repeated(analysis, whole, tmp_path, monkeypatch):
    state = tmp_path / "counts.npz"
    analyse_conflict(analysis, state=state, batch=4)
    stop_after(analysis, 0, monkeypatch)
    assert (analyse_conflict(analysis, state=state).counts == whole.counts).all()


def test_counts_of_another_target_are_not_mixed_in(analysis, tmp_path):
    analyse_conflict(analysis, state=tmp_path / "counts.npz", batch=8)
    with pytest.raises(LabError, match="counts another pair"):
        analyse_conflict(analysis, boxes="exact", state=tmp_path / "counts.npz")


def test_counts_of_other_images_with_equal_annotations_are_not_mixed_in(
    analysis, scenes_dir, tmp_path
):
    copy = shutil.copytree(scenes_dir, tmp_path / "copy")
    analyse_conflict(analysis, state=tmp_path / "counts.npz", batch=8)
    same = open_analysis(RANDOM, CONFIG, copy, teacher_config=CONFIG)
    analyse_conflict(same, state=tmp_path / "counts.npz")
    first, second = sorted((copy / "val").iterdir())[:2]
    shutil.copyfile(second, first)
    other = open_analysis(RANDOM, CONFIG, copy, teacher_config=CONFIG)
    assert other.identity["annotations"] == analysis.identity["annotations"]
    with pytest.raises(LabError, match="counts another pair"):
        analyse_conflict(other, state=tmp_path / "counts.npz")


def test_gradients_over_the_first_images(analysis):
    methods = {"CrossKD": CrossKD(), "KD": PredictionMimicking()}
    frame = analyse_gradients(analysis, methods, [("neck", 0)], images=5, batch=3)
    assert len(frame) == 5 * 3
    assert frame["image"].nunique() == 5
    assert frame["inside"].between(0, 1).all()
    assert frame["gini"].between(0, 1).all()


def test_the_students_weights_are_used_when_given(analysis, scenes_dir, tmp_path):
    weights = {k: v + 1 for k, v in analysis.pair.student.state_dict().items()}
    file = tmp_path / "student.pth"
    torch.save(weights, file)
    other = open_analysis(RANDOM, CONFIG, scenes_dir, teacher_config=CONFIG, student_weights=file)
    name = "bbox_head.gfl_cls.bias"
    assert torch.equal(other.pair.student.state_dict()[name].cpu(), weights[name].cpu())
    assert other.identity["weights"] != analysis.identity["weights"]


def test_a_random_teacher_needs_a_config(scenes_dir):
    with pytest.raises(LabError, match="teacher-config"):
        open_analysis(RANDOM, CONFIG, scenes_dir)


def test_two_stock_configs_are_held_against_a_set(scenes_dir, tmp_path, capsys):
    """The boxes are where the resized pixels are, though stock reads them after the resizing."""
    named = "mmdet::gfl/gfl_r50_fpn_1x_coco.py"
    cfg = read_config(named)
    cfg.model.backbone.init_cfg = None
    for step in cfg.val_dataloader.dataset.pipeline:
        if step["type"] == "Resize":
            step["scale"] = (192, 192)  # twice the scenes' size
    cfg.dump(tmp_path / "stock.py")
    stock = str(tmp_path / "stock.py")
    analysis = open_analysis(RANDOM, stock, scenes_dir, teacher_config=stock)
    assert analysis.areas == (32, 96) and len(analysis.classes) == 10
    document = json.loads((scenes_dir / "annotations/val.json").read_text())
    first = document["images"][0]["id"]
    written = [b["bbox"] for b in document["annotations"] if b["image_id"] == first]
    seen = analysis.dataset[0]["data_samples"].gt_instances.bboxes.tensor
    x, y, w, h = torch.tensor(written).float().T
    assert torch.allclose(seen, 2 * torch.stack([x, y, x + w, y + h], 1))
    histogram = analyse_conflict(analysis, batch=4)
    assert histogram.images == 8 and histogram.positives.sum() > 0


def test_figure_3_is_made_again(tmp_path):
    """The recorded curve of one teacher, from the drawing of the test split to the last count."""
    write_scenes(tmp_path / "scenes", **TEST)
    analysis = open_analysis("gfl_r18_w32", "pocket/gfl_r18_w16", tmp_path / "scenes", "test")
    now = analyse_conflict(analysis).frame()
    kept = pd.read_csv(RECORDED / "figure3" / "conflict.csv").query("teacher == 'gfl_r18_w32'")
    made = json.loads((RECORDED / "figure3" / "made.json").read_text())
    assert made["teachers"]["gfl_r18_w32"]["annotations"] == analysis.identity["annotations"]
    assert made["git"]["dirty"] is False
    assert now["positives"].tolist() == kept["positives"].tolist()
    # rounding of another processor may carry a location over an edge between two bins
    apart = np.abs(now["conflicts"].to_numpy() - kept["conflicts"].to_numpy())
    assert (apart <= 2 + 0.001 * kept["positives"].to_numpy()).all()
