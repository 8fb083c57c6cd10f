"""The engine's settings, from a handful of numbers."""

import pytest
from mmdet.registry import DATASETS
from mmengine.registry import DefaultScope

from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.schedule import engine_settings, load_boxes_first
from crosskd_lab.engine.train import prepare_engine
from crosskd_lab.errors import LabError

DATA = dict(
    size=160,
    classes=["a", "b"],
    train=dict(annotations="t.json", images="t"),
    val=dict(annotations="v.json", images="v"),
)


def settings(**changed):
    schedule = dict(steps=1500, batch=16, lr=0.02, warmup=200, validate_every=500) | changed
    return engine_settings(DATA, schedule, seed=5)


@pytest.mark.parametrize(
    ("steps", "milestones"),
    [(1500, [1000, 1375]), (12, [8, 11]), (90_000, [60_000, 82_500]), (100, [66, 91])],
)
def test_rates_fall_after_8_and_11_twelfths(steps, milestones):
    warmup, steps_down = settings(steps=steps)["param_scheduler"]
    assert steps_down["milestones"] == milestones and steps_down["gamma"] == 0.1
    assert (warmup["begin"], warmup["end"]) == (0, min(200, steps))


def test_numbers_reach_the_engine():
    made = settings(validate_every=9000)
    assert made["train_cfg"]["max_iters"] == made["train_cfg"]["val_interval"] == 1500
    assert made["train_dataloader"]["batch_size"] == 16
    assert made["train_dataloader"]["dataset"]["seed"] == 5
    assert made["optim_wrapper"]["optimizer"]["lr"] == 0.02
    assert made["auto_scale_lr"]["enable"] is False


def test_only_training_flips_and_leaves_out_empty_images():
    made = settings()
    train, val = made["train_dataloader"]["dataset"]["dataset"], made["val_dataloader"]["dataset"]
    assert [p["type"] for p in train["pipeline"]].count("RandomFlip") == 1
    assert not any(p["type"] == "RandomFlip" for p in val["pipeline"])
    assert train["filter_cfg"]["filter_empty_gt"] and val["filter_cfg"] is None
    assert (train["ann_file"], val["ann_file"]) == ("t.json", "v.json")
    assert train["metainfo"]["classes"] == val["metainfo"]["classes"] == ("a", "b")


@pytest.mark.parametrize("few", [dict(warmup=0), dict(warmup=1), dict(warmup=5, steps=1)])
def test_a_rise_of_no_more_than_a_step_is_none(few):
    """A rise over one step begins at a thousandth of the rate and never goes on."""
    (falls,) = settings(**few)["param_scheduler"]
    assert falls["type"] == "MultiStepLR"


@pytest.mark.parametrize(("steps", "milestones"), [(1, []), (2, [1]), (3, [2])])
def test_the_first_step_has_the_whole_rate_and_no_fall_comes_twice(steps, milestones):
    assert settings(steps=steps)["param_scheduler"][-1]["milestones"] == milestones


def test_parts_of_a_model_are_named_with_their_dots():
    made = settings(shares={"backbone.layer1": 0.1, "neck": 0})["optim_wrapper"]
    keys = {"backbone.layer1": {"lr_mult": 0.1}, "neck": {"lr_mult": 0}}
    assert made["paramwise_cfg"]["custom_keys"] == keys


@pytest.mark.parametrize("name", ["steps", "batch", "validate_every", "lr", "warmup", "clip"])
@pytest.mark.parametrize("value", [-1, "abc", None, True, float("nan"), float("inf"), 10**400])
def test_numbers_that_make_no_sense_are_named(name, value):
    with pytest.raises(LabError, match=rf"schedule\.{name} is .*: give a "):
        settings(**{name: value})


def test_a_clip_that_no_gradient_passes_is_refused():
    with pytest.raises(LabError, match="schedule.clip is 0, which no gradient passes"):
        settings(clip=0)


@pytest.mark.parametrize("name", ["steps", "batch", "validate_every"])
@pytest.mark.parametrize("value", [0, 0.5, 2.5])
def test_counts_begin_at_one_and_are_whole(name, value):
    with pytest.raises(LabError, match=rf"schedule\.{name} is {value}: give a (whole )?number"):
        settings(**{name: value})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"stpes": 1}, "schedule.stpes is unknown: schedule has steps"),
        ({"optimizer": "SGD"}, "schedule.optimizer is 'SGD': give a dict"),
        ({"optimizer": {"type": "SGD", "lr": 1}}, "the rate is schedule.lr"),
        ({"shares": 3}, "schedule.shares is 3"),
        ({"shares": {"neck": "x"}}, "schedule.shares.neck is 'x'"),
        ({"shares": {1: 0.1}}, "schedule.shares has the part 1: name it"),
    ],
)
def test_what_nothing_would_read_is_refused(entry, said):
    with pytest.raises(LabError, match=said):
        settings(**entry)


@pytest.mark.parametrize("value", [0, -5, 1, 31, "x", (64, 64), None])
def test_an_image_size_that_makes_no_sense_is_named(value):
    schedule = dict(steps=1, batch=1, lr=0.02, warmup=0, validate_every=1)
    with pytest.raises(LabError, match=r"data\.size is "):
        engine_settings(DATA | {"size": value}, schedule, seed=0)


def test_boxes_go_where_the_pixels_go(scenes_dir):
    """mmdet's own validation resizes an image of 160 to 800 before it loads the boxes."""
    prepare_engine()
    cfg = load_experiment("paper/table1_none", {"teacher.checkpoint": "random"}, scenes_dir)
    found = []
    for _ in range(3):
        with DefaultScope.overwrite_default_scope("mmdet"):
            sample = DATASETS.build(cfg.val_dataloader.dataset)[0]["data_samples"]
        found.append((sample.gt_instances.bboxes.tensor, sample.scale_factor[0]))
        load_boxes_first(cfg.val_dataloader.dataset)
    (stock, scale), (ours, _), (again, _) = found
    assert scale > 2 and ours.allclose(stock * scale) and again.equal(ours)
