"""The shipped pocket configs: each builds, trains a step, and says the same when read again."""

from functools import cache
from hashlib import sha256

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODELS, DefaultScope

from crosskd_lab.configs import CONFIGS, read_config
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.train import build_runner, prepare_engine, train
from crosskd_lab.heads import adapter_for
from crosskd_lab.pair import build_detector
from crosskd_lab.stack.checkpoints import read_weights

FAMILIES = {"gfl": "GFLHead", "atss": "ATSSHead", "retinanet": "RetinaHead", "fcos": "FCOSHead"}
FAMILIES |= {"yolox": "YOLOXHead", "rtmdet": "RTMDetSepBNHead"}
TINY = {
    "teacher.checkpoint": "random",
    "data.size": 64,
    "schedule.steps": 1,
    "schedule.batch": 2,
    "schedule.validate_every": 1,
}


@pytest.mark.parametrize("width", [16, 32])
@pytest.mark.parametrize("family", FAMILIES)
def test_detectors_share_all_but_the_head(family, width):
    cfg, gfl = (read_config(f"pocket/{name}_r18_w{width}") for name in (family, "gfl"))
    assert cfg.model.bbox_head.type == FAMILIES[family]
    assert cfg.model.backbone == gfl.model.backbone
    assert cfg.model.data_preprocessor == gfl.model.data_preprocessor
    assert (cfg.data, cfg.schedule) == (gfl.data, gfl.schedule)
    assert cfg.model.backbone.base_channels == width
    adapter = adapter_for(build_detector(cfg.model).bbox_head)
    levels, depth = (3, 2) if family in ("yolox", "rtmdet") else (5, 4)
    assert adapter.strides == (8, 16, 32, 64, 128)[:levels] and adapter.depth == depth
    assert [adapter.channels(b, i) for b in ("cls", "reg") for i in (0, depth)] == [64] * 4


@pytest.mark.parametrize(("size", "channels"), [("narrow", 32), ("middle", 48)])
@pytest.mark.parametrize("family", ["yolox", "rtmdet"])
def test_smaller_students_are_their_family_but_for_the_width(family, size, channels):
    cfg, usual = (read_config(f"pocket/{family}_r18_w16{end}") for end in (f"_{size}", ""))
    assert cfg.model.neck.pop("out_channels") == channels
    assert usual.model.neck.pop("out_channels") == 64
    for part in ("in_channels", "feat_channels"):
        assert cfg.model.bbox_head.pop(part) == channels and usual.model.bbox_head.pop(part) == 64
    assert cfg.to_dict() == usual.to_dict()


@pytest.mark.parametrize(
    "name",
    [
        "atss_crosskd",
        "retinanet_crosskd",
        "fcos_crosskd",
        "yolox_crosskd",
        "yolox_kd",
        "rtmdet_crosskd",
        "rtmdet_kd",
    ],
)
def test_an_experiment_of_each_family_trains(name, scenes_dir, tmp_path):
    cfg = load_experiment(f"pocket/{name}", TINY, scenes_dir)
    results = train(cfg, tmp_path / "run")
    assert 0 <= results["AP"] <= 100
    written = Config.fromfile(tmp_path / "run" / "config.py")
    assert written.model == cfg.model


class _Stop(Hook):
    """Ends a run when all is ready for its first step."""

    def before_train(self, runner):
        raise StopIteration


def started(name, scenes, folder, settings):
    """The model with which the engine's own start of an experiment takes its first step."""
    prepare_engine()
    cfg = load_experiment(name, settings, scenes, seed=4)
    runner = build_runner(cfg, folder)
    runner.register_hook(_Stop(), "LOWEST")
    with pytest.raises(StopIteration):
        runner.train()
    return runner.model


def bits(weights):
    """A hash of every tensor by name."""
    return {k: sha256(w.contiguous().numpy().tobytes()).hexdigest() for k, w in weights.items()}


POCKET = {p.stem: read_config(p) for p in sorted((CONFIGS / "pocket").glob("*.py"))}
METHODS = [name for name, cfg in POCKET.items() if "methods" in cfg]
DETECTORS = [f"pocket/{name}" for name in POCKET if name not in METHODS]


@pytest.mark.parametrize("name", [*DETECTORS, "other_backbones/retinanet_mv2"])
def test_a_shipped_backbone_starts_as_its_file_has_it(name, scenes_dir, tmp_path):
    settings = {k: v for k, v in TINY.items() if not k.startswith("teacher")}
    backbone = started(name, scenes_dir, tmp_path / "run", settings).backbone
    kept = bits(read_weights(backbone.init_cfg["checkpoint"]))
    assert {name for name, _ in backbone.named_parameters()} <= set(kept)
    assert bits({k: w for k, w in backbone.state_dict().items() if k in kept}) == kept


def start_of(name, scenes, settings):
    """Hashes of the weights that an experiment starts from, those of its methods apart."""
    cfg = load_experiment(name, {**TINY, **settings}, scenes)
    torch.manual_seed(4)
    with DefaultScope.overwrite_default_scope("mmdet"):  # as the engine, whatever ran before
        model = MODELS.build(cfg.model)
    model.init_weights()
    own = bits(model.state_dict())
    return {key: value for key, value in own.items() if not key.startswith("methods.")}


@cache
def plain_start(student, teacher, scenes):
    """The same of a student without methods whose teacher only stands by."""
    return start_of("pocket/none", scenes, {"student": student, "teacher.config": teacher})


@pytest.mark.parametrize("name", METHODS)
def test_every_method_starts_from_the_plain_students_weights(name, scenes_dir):
    prepare_engine()
    said = POCKET[name]
    plain = plain_start(said.student, said.teacher.config, scenes_dir)
    assert start_of(f"pocket/{name}", scenes_dir, {}) == plain


def test_a_deformable_student_trains_as_the_recipe_says(scenes_dir, tmp_path):
    prepare_engine()
    cfg = load_experiment("pocket/deformable_kd", TINY, scenes_dir)
    runner = build_runner(cfg, tmp_path / "run")
    groups = runner.build_optim_wrapper(cfg.optim_wrapper).optimizer.param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    slow = ("backbone.", "sampling_offsets", "reference_points")
    for name, weight in runner.model.named_parameters():
        tenth = any(part in name for part in slow)
        assert rates[id(weight)] == pytest.approx(4e-5 if tenth else 4e-4), name
