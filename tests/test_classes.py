"""Names of classes: where they are found, and how two lists of them match."""

import pytest
import torch
from mmengine.config import Config

from crosskd_lab.classes import category_ids, class_names, match_classes, trained_classes
from crosskd_lab.configs import read_config
from crosskd_lab.errors import LabError
from crosskd_lab.stack.checkpoints import save_weights

OURS = Config(dict(data=dict(classes=["disc", "ring"]), model=dict(bbox_head=dict(num_classes=2))))


def test_our_configs_name_them_in_their_data_and_mmdets_in_their_training_set():
    assert class_names(OURS) == ["disc", "ring"]
    inner = dict(type="CocoDataset", metainfo=dict(classes=("cat", "dog")))
    own = dict(train_dataloader=dict(dataset=dict(type="RepeatDataset", dataset=inner)))
    assert class_names(Config(own)) == ["cat", "dog"]
    assert class_names(Config(dict(model=dict(bbox_head=dict(num_classes=2))))) is None


def test_a_coco_set_without_names_has_the_eighty_unless_the_detector_scores_others():
    cfg = read_config("mmdet::gfl/gfl_r50_fpn_1x_coco.py")
    names = class_names(cfg)
    assert len(names) == 80 and names[0] == "person" and names[-1] == "toothbrush"
    cfg.model.bbox_head.num_classes = 3
    assert class_names(cfg) is None
    two_stage = read_config("mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py")
    assert class_names(two_stage) == names


def test_a_teachers_file_knows_more_than_the_config_that_builds_it(tmp_path):
    assert trained_classes(OURS, "random") is None
    bare = tmp_path / "bare.pth"
    torch.save(dict(state_dict={}), bare)
    assert trained_classes(OURS, bare) == ["disc", "ring"]
    (tmp_path / "config.py").write_text("data = dict(classes=['fox', 'owl'])\n")
    assert trained_classes(OURS, bare) == ["fox", "owl"]
    noted = tmp_path / "noted.pth"
    torch.save(dict(state_dict={}, meta=dict(dataset_meta=dict(classes=("a", "b")))), noted)
    assert trained_classes(OURS, noted) == ["a", "b"]


@pytest.mark.parametrize(
    "meta",
    [
        {"dataset_meta": {"classes": ("a", "b")}},
        {"dataset_meta": {"CLASSES": ("a", "b")}},
        {"CLASSES": ("a", "b")},
        {"classes": ["a", "b"], "CLASSES": None},
        {"classes": "a, b"},
        {"classes": ["a ", "\u00a0b"]},
    ],
)
@pytest.mark.parametrize("suffix", ["", ".pt", ".PTH", ".ckpt"])
def test_names_are_read_in_every_spelling_from_every_suffix(tmp_path, meta, suffix):
    torch.save(dict(state_dict={}, meta=meta), tmp_path / f"t{suffix}")
    assert trained_classes(OURS, tmp_path / f"t{suffix}") == ["a", "b"]


def test_safetensors_hold_names_in_their_head(tmp_path):
    weights = {"w": torch.ones(1)}
    save_weights(weights, tmp_path / "t.safetensors", classes=["a", "b"])
    assert trained_classes(OURS, tmp_path / "t.safetensors") == ["a", "b"]
    save_weights(weights, tmp_path / "T.safetensors")
    assert trained_classes(OURS, tmp_path / "T.safetensors") == ["disc", "ring"]


def test_a_shipped_teacher_knows_the_scenes():
    from crosskd_lab.configs import TEACHERS

    shipped = next(TEACHERS.glob("*.safetensors"))
    assert trained_classes(OURS, shipped)[:2] == ["disc", "ring"]


def test_names_that_read_alike_are_one():
    """As from another machine, whose editor took the letter and its accent for two signs."""
    categories = [{"id": 7, "name": "e\u0301 a "}, {"id": 9, "name": "b"}]
    document = {"categories": categories, "annotations": [{"category_id": 7}]}
    assert category_ids(["b", "\xe9  a", "c"], document, "f.json") == [9, 7, None]
    with pytest.raises(LabError, match="several classes named b: rename"):
        category_ids(["b", "b ", "\xe9 a"], document, "f.json")


def test_matching_is_by_name():
    assert match_classes(["a", "b", "c"], ("a", "b", "c")) is None
    assert match_classes(["a", "b", "c"], ["c", "a", "b"]) == [1, 2, 0]
    with pytest.raises(
        LabError, match="only the student has none of its own; only the teacher"
    ) as e:
        match_classes(["a"], ["a", *map(str, range(20))])
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more" in str(e.value)


def test_lists_match_by_how_names_read_and_a_file_may_not_say_one_twice():
    composed, apart = "caf\u00e9", "cafe\u0301 "
    assert match_classes([composed, "ring"], ["ring", apart]) == [1, 0]
    document = {
        "categories": [dict(id=1, name="cat"), dict(id=2, name="cat "), dict(id=3, name="dog")],
        "annotations": [dict(category_id=1)] * 5,
    }
    with pytest.raises(LabError, match="x.json has several classes named cat: rename all but one"):
        category_ids(["cat", "dog"], document, "x.json")
