"""Settings on a config: each is applied, or refused by name with what to say instead."""

import pytest
from mmengine.config import Config

from crosskd_lab.configs import read_config
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.settings import replace, value_at
from crosskd_lab.errors import LabError

FEW = {"schedule.steps": 4, "schedule.batch": 2, "schedule.warmup": 2, "schedule.validate_every": 2}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optim_wrapper.type", "AmpOptimWrapper"),
        ("optim_wrapper.accumulative_counts", 2),
        ("train_dataloader.num_workers", 2),
        ("default_hooks.checkpoint.max_keep_ckpts", 1),
        ("param_scheduler.1.gamma", 0.5),
        ("train_dataloader.dataset.dataset.pipeline.3.prob", 0.0),
        ("val_evaluator.areas", (5, 6)),
        ("randomness.deterministic", True),
        ("custom_hooks", [{"type": "EMAHook"}]),
    ],
)
def test_a_setting_of_the_engine_is_in_the_completed_config(scenes_dir, key, value):
    cfg = load_experiment("pocket/gfl_r18_w16", {**FEW, key: value}, scenes_dir)
    assert value_at(cfg, key) == value


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("train_cfg.max_iters", 7, r"train_cfg.max_iters = 7 is decided by schedule.steps \(4\)"),
        ("train_dataloader.batch_size", 3, "decided by schedule.batch"),
        ("optim_wrapper.optimizer", {"type": "SGD", "lr": 1.0}, "decided by schedule.lr"),
        ("default_hooks.checkpoint.interval", 1, "decided by schedule.validate_every"),
        ("model.bbox_head.num_classes", 3, "would change nothing: .* makes it 10"),
        ("data.classes", ["a"], "would change nothing: .* makes it "),
        ("randomness.seed", 3, "say --seed"),
        ("randomness", {"seed": 3}, "say --seed"),
        ("tap", "pre_relu", "tap is for methods, and the config names none"),
        ("schedule.shares", {"backbone.layer1": "x"}, "shares.backbone.layer1 is 'x': give a num"),
        ("resume", True, "the config's entries are "),
        ("body.backbone.depth", 34, "the config's entries are "),
        ("data_root", "x", "the config's entries are "),
        ("data.root", "x", "--data and --set data.root"),
        ("schedule.stpes", 3, "schedule has steps, batch"),
        ("data.sise", 3, "data has root, size"),
        ("model.test_cfg.score_thrr", 3, "no 'score_thrr' is read there, but .*score_thr"),
        ("env_cfg.foo", 3, "no 'foo' is read there, but cudnn_benchmark"),
        ("schedule", 3, "give a dict"),
        ("model", None, "give a dict"),
        ("student", 5, "student.*no config '5'|config's entries are"),
        ("custom_hooks.0", None, "give a dict"),
        ("custom_hooks", 3, "give a list"),
        ("param_scheduler.5.gamma", 3, "no '5' there"),
    ],
)
def test_a_setting_that_cannot_hold_is_refused_by_name(scenes_dir, key, value, said):
    with pytest.raises(LabError, match=said) as refused:
        load_experiment("pocket/gfl_r18_w16", {**FEW, key: value}, scenes_dir)
    assert key.partition(".")[0] in str(refused.value)


def test_a_runs_own_config_keeps_what_was_set(scenes_dir, tmp_path):
    settings = {**FEW, "train_dataloader.num_workers": 2, "param_scheduler.1.gamma": 0.5}
    cfg = load_experiment("pocket/gfl_r18_w16", settings, scenes_dir)
    (tmp_path / "config.py").write_text(cfg.pretty_text)
    again = load_experiment(tmp_path, {"optim_wrapper.type": "Other"})
    assert again.train_dataloader.num_workers == 2 and again.param_scheduler[1].gamma == 0.5
    assert again.optim_wrapper.type == "Other"
    with pytest.raises(LabError, match=r"decided by schedule.steps \(4\)"):
        load_experiment(tmp_path, {"train_cfg.max_iters": 7})
    with pytest.raises(LabError, match="has its data and schedule in it"):
        load_experiment(tmp_path, {"data.root": "x"})


def test_what_an_experiment_says_of_the_engine_holds(scenes_dir, tmp_path):
    own = tmp_path / "own.py"
    said = "student = 'pocket/gfl_r18_w16'\noptim_wrapper = dict(accumulative_counts=2)\n"
    own.write_text(said)
    cfg = load_experiment(own, FEW, scenes_dir)
    assert cfg.optim_wrapper.accumulative_counts == 2
    assert cfg.optim_wrapper.optimizer.type == "SGD"
    own.write_text(said + "train_cfg = dict(max_iters=9)\n")
    with pytest.raises(LabError, match=r"max_iters = 9 is decided by schedule.steps \(4\)"):
        load_experiment(own, FEW, scenes_dir)


def test_the_tap_can_be_set_where_no_config_says_it(scenes_dir):
    cfg = load_experiment("pocket/crosskd", {"tap": "pre_relu"}, scenes_dir, 0)
    assert "tap" not in read_config("pocket/crosskd") and cfg.model.tap == "pre_relu"


def test_a_student_and_a_method_can_be_set(scenes_dir):
    settings = {**FEW, "teacher.checkpoint": "random", "methods.0.i": 2}
    settings |= {"student": "pocket/gfl_r18_w32", "model.backbone.norm_eval": True}
    cfg = load_experiment("pocket/crosskd", settings, scenes_dir)
    assert cfg.model.methods[0].i == 2 and cfg.model.student.backbone.base_channels == 32
    assert cfg.model.student.backbone.norm_eval is True


def test_replace_reaches_into_dicts_and_lists():
    cfg = Config({"methods": [{"type": "A", "i": 3}], "data": {"size": 5}})
    replace(cfg, {"methods.0.i": 2, "data.size": 7, "methods.0.new": 1})
    assert cfg.to_dict() == {"methods": [{"type": "A", "i": 2, "new": 1}], "data": {"size": 7}}
