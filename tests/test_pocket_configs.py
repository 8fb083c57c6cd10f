"""The shipped pocket configs: each builds, trains a step, and says the same when read again."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from crosskd_lab.configs import CONFIGS, read_config
from crosskd_lab.experiment import load_experiment
from crosskd_lab.heads import adapter_for
from crosskd_lab.pair import build_detector
from crosskd_lab.training import train

FAMILIES = {"gfl": "GFLHead", "atss": "ATSSHead", "retinanet": "RetinaHead", "fcos": "FCOSHead"}
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
    assert adapter.strides == (8, 16, 32, 64, 128)
    assert [adapter.channels(branch, i) for branch in ("cls", "reg") for i in (0, 4)] == [64] * 4


@pytest.mark.parametrize("name", ["atss_crosskd", "retinanet_crosskd", "fcos_crosskd"])
def test_an_experiment_of_each_family_trains(name, scenes_dir: Path, tmp_path: Path):
    cfg = load_experiment(f"pocket/{name}", TINY, scenes_dir)
    results = train(cfg, tmp_path / "run")
    assert 0 <= results["AP"] <= 100
    written = Config.fromfile(tmp_path / "run" / "config.py")
    assert written.model == cfg.model


@pytest.mark.parametrize("name", ["atss_crosskd", "gfl_from_atss", "gfl_from_retinanet"])
def test_experiments_are_short(name):
    lines = (CONFIGS / "pocket" / f"{name}.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 6
