"""What recipes ask for, read from their configs."""

import json

import pytest
from mmengine.config import Config

from crosskd_lab.errors import LabError
from crosskd_lab.runs.forecast import Work
from crosskd_lab.runs.step_cost import class_count, count_images, find_work, image_size
from crosskd_lab.runs.step_cost import planned_config as planned


@pytest.fixture(scope="module", autouse=True)
def _registered():
    from crosskd_lab.engine.train import prepare_engine

    prepare_engine()


def test_a_recipe_of_the_paper():
    cfg = planned("paper/table6_atss_crosskd", None, None)
    assert find_work(cfg) == Work(8, 0.01, 16, images=117_266, epochs=12)
    # COCO's 4 to 3 within 1333 x 800 is 1067 x 800, padded to multiples of 32
    assert image_size(cfg) == (800, 1088)
    assert class_count(cfg) == 80
    assert class_count(planned("paper/beyond_faster_crosskd", None, None)) == 80


def test_a_recipe_that_resizes_to_many_scales():
    assert image_size(planned("paper/beyond_deformable_crosskd", None, None)) == (800, 1067)


def test_a_pocket_recipe(scenes_dir):
    cfg = planned("pocket/crosskd", {"data.size": 100, "schedule.steps": 7}, scenes_dir)
    assert find_work(cfg) == Work(16, 0.02, 16, steps=7)
    assert image_size(cfg) == (128, 128), "square scenes, padded to a multiple of 32"


def test_an_epoch_is_as_long_as_the_images_that_have_boxes(tmp_path):
    images = [dict(id=i, file_name=f"{i}.jpg", height=64, width=64) for i in range(5)]
    boxes = [
        dict(id=i, image_id=i, category_id=1, bbox=[1, 1, 9, 9], area=81, iscrowd=0)
        for i in range(3)
    ]
    text = dict(images=images, annotations=boxes, categories=[dict(id=1, name="person")])
    (tmp_path / "some.json").write_text(json.dumps(text))
    dataset = dict(
        type="CocoDataset",
        data_root=f"{tmp_path}/",
        ann_file="some.json",
        data_prefix=dict(img=""),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[],
    )
    assert count_images(dataset) == 3
    assert count_images(dict(type="RepeatDataset", times=2, dataset=dataset)) == 6
    with pytest.raises(LabError, match=r"there is no .*gone\.json.* name the set with --data"):
        count_images({**dataset, "ann_file": "gone.json"})
    assert count_images({**dataset, "ann_file": "annotations/instances_train2017.json"}) == 117_266


def test_a_pipeline_without_a_scale_is_refused():
    cfg = Config(dict(train_dataloader=dict(dataset=dict(pipeline=[])), model=dict()))
    with pytest.raises(LabError, match="names no scale"):
        image_size(cfg)
