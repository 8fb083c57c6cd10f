"""The engine's settings, from a handful of numbers."""

import pytest

from crosskd_lab.schedule import engine_settings

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
