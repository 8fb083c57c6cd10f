"""AP against hand-computed cases and pycocotools; Fig. 6's distances where there is a teacher."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from faster_coco_eval import COCO as FastCOCO
from mmengine.dataset import pseudo_collate
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from crosskd_lab.distiller import Distiller
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.metrics import (
    NAMES,
    BoxAP,
    Distances,
    ScoreDistances,
    average_precision,
)
from crosskd_lab.engine.train import build_runner, prepare_engine
from crosskd_lab.pair import Pair


def test_they_are_measured_on_whole_batches_of_the_first_images(tiny, tmp_path):
    prepare_engine()
    runner = build_runner(tiny(), tmp_path / "run")
    model, dataset = runner.model.eval(), runner.val_loop.dataloader.dataset
    metrics = {}
    Distances(images=3).after_val_epoch(runner, metrics)
    batches = [pseudo_collate([dataset[k], dataset[k + 1]]) for k in (0, 2)]
    prepared = [model.data_preprocessor(batch) for batch in batches]
    assert metrics == ScoreDistances(model.pair, prepared).measure() and len(metrics) == 4


def test_they_go_by_the_names_of_classes_not_by_their_ids(scenes_dir, turned_dir, tmp_path):
    """A validation set whose categories have other ids than the training set's."""
    prepare_engine()
    settings = {"teacher.checkpoint": "gfl_r18_w32", "schedule.batch": 4}
    found = []
    for data in (scenes_dir, turned_dir):
        torch.manual_seed(0)
        cfg = load_experiment("pocket/none", settings, data)
        runner = build_runner(cfg, tmp_path / data.name)
        runner.model.eval()
        found.append({})
        Distances(images=4).after_val_epoch(runner, found[-1])
    assert found[0] == pytest.approx(found[1]) and len(found[0]) == 4


def test_without_two_dense_heads_there_are_none(beyond_dense):
    """Fig. 6 compares scores location by location; RoIs and queries have no such places."""
    pair = Pair(*(beyond_dense("faster", seed) for seed in (0, 1)))
    for model in (Distiller(pair=pair), torch.nn.Linear(1, 1)):
        metrics = {"AP": 1.0}
        Distances().after_val_epoch(SimpleNamespace(model=model), metrics)
        assert metrics == {"AP": 1.0}


CLASSES = ("dog", "cat")  # in the order of ids 5 and 3: not the file's


def truth(path, boxes):
    """An annotation file with two 100-pixel images and boxes of (image, category, xywh)."""
    annotations = [
        {"id": i, "image_id": image, "category_id": category, "bbox": box}
        | {"area": box[2] * box[3], "iscrowd": 0}
        for i, (image, category, box) in enumerate(boxes, 1)
    ]
    images = [{"id": i, "file_name": f"{i}.png", "width": 100, "height": 100} for i in (1, 2)]
    categories = [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}]
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return str(path)


def measure(file, found):
    """BoxAP of (class name, xyxy, score) by image."""
    metric = BoxAP(file, areas=(20, 40))
    metric.dataset_meta = {"classes": CLASSES}
    for image in (1, 2):
        rows = found.get(image, [])
        instances = {
            "bboxes": torch.tensor([box for _, box, _ in rows]).reshape(-1, 4),
            "labels": torch.tensor([CLASSES.index(name) for name, _, _ in rows], dtype=torch.long),
            "scores": torch.tensor([score for _, _, score in rows]),
        }
        metric.process({}, [{"img_id": image, "pred_instances": instances}])
    return metric.evaluate(2)


BOXES = [(1, 3, [10.0, 10.0, 15.0, 15.0]), (2, 3, [20.0, 20.0, 30.0, 30.0])]
HITS = {
    1: [("cat", [10.0, 10.0, 25.0, 25.0], 0.9)],
    2: [("cat", [20.0, 20.0, 50.0, 50.0], 0.8)],
}


def test_all_found_is_100_and_sizes_are_told_apart(tmp_path, capfd):
    measured = measure(truth(tmp_path / "t.json", BOXES), HITS)
    # one box of 15 pixels (small), one of 30 (medium), none above 40: APL cannot be measured
    assert measured == pytest.approx(dict.fromkeys(NAMES[:-1], 100))
    assert capfd.readouterr() == ("", "")


def test_nothing_found_is_0_where_there_was_something_to_find(tmp_path):
    assert measure(truth(tmp_path / "t.json", BOXES), {}) == dict.fromkeys(NAMES[:-1], 0.0)


@pytest.mark.parametrize("found", [HITS, {}])
def test_without_an_object_nothing_is_measured(tmp_path, found):
    assert measure(truth(tmp_path / "t.json", []), found) == {}
    crowds = truth(tmp_path / "t.json", BOXES)
    document = json.loads(Path(crowds).read_text())
    for box in document["annotations"]:
        box["iscrowd"] = 1
    Path(crowds).write_text(json.dumps(document))
    assert measure(crowds, found) == {}


def test_another_class_or_place_is_0(tmp_path):
    wrong = {1: [("dog", [10.0, 10.0, 25.0, 25.0], 0.9)], 2: [("cat", [60.0, 60, 70, 70], 0.9)]}
    assert measure(truth(tmp_path / "t.json", BOXES), wrong)["AP"] == 0


def test_half_found_is_51_of_101_recall_points_unrounded(tmp_path):
    # precision is 1 at recalls 0, 0.01 ... 0.50 and 0 at the 50 others
    measured = measure(truth(tmp_path / "t.json", BOXES), {1: HITS[1]})
    assert measured["AP"] == pytest.approx(100 * 51 / 101, abs=1e-12)


def test_a_loose_box_counts_up_to_its_iou(tmp_path):
    # 15 x 15 against 15 x 12 inside it: IoU 0.8, matched at 0.50, 0.55 ... 0.80: 7 of 10
    file = truth(tmp_path / "t.json", BOXES[:1])
    measured = measure(file, {1: [("cat", [10.0, 10.0, 25.0, 22.01], 0.9)]})
    assert measured["AP"] == pytest.approx(70)
    assert (measured["AP50"], measured["AP75"]) == pytest.approx((100, 100))


@pytest.mark.parametrize("seed", range(2))
def test_as_pycocotools_says_of_crowds_ties_and_many_boxes(tmp_path, seed):
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.integers(0, 90, (200, 2)), rng.integers(4, 60, (200, 2))], 1)
    objects = [
        {"id": k + 1, "image_id": int(rng.integers(1, 5)), "category_id": int(rng.integers(1, 4))}
        | {"bbox": box, "area": box[2] * box[3], "iscrowd": int(rng.random() < 0.1)}
        for k, box in enumerate(boxes.tolist())
    ]
    document = {"images": [{"id": k, "width": 150, "height": 150} for k in range(1, 6)]}
    document |= {"categories": [{"id": k, "name": str(k)} for k in range(1, 5)]}
    file = tmp_path / "t.json"
    file.write_text(json.dumps(document | {"annotations": objects}))
    results = [
        {"image_id": one["image_id"], "category_id": int(rng.choice([one["category_id"], 4]))}
        | {"bbox": (np.array(one["bbox"]) + rng.normal(0, 3, 4)).clip(1).tolist()}
        | {"score": float(rng.random().__round__(1 + 6 * (seed % 2)))}
        for one in objects
        for _ in range(3)
    ]
    coco = COCO(str(file))
    direct = COCOeval(coco, coco.loadRes([dict(r) for r in results]), "bbox")
    direct.params.areaRng = [[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]]
    direct.evaluate(), direct.accumulate(), direct.summarize()
    said = {n: 100 * v for n, v in zip(NAMES, direct.stats[:6].tolist(), strict=True) if v >= 0}
    assert average_precision(FastCOCO(str(file)), results) == pytest.approx(said, rel=1e-12)
