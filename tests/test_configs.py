"""Names of configs and teachers become files, or one line says what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosskd_lab.configs import CONFIGS, RANDOM, find_config, read_config, teacher_file
from crosskd_lab.errors import LabError


def test_a_name_below_configs_and_a_path_are_the_same_file():
    by_name = Path(find_config("pocket/crosskd"))
    assert by_name == CONFIGS / "pocket" / "crosskd.py"
    assert Path(find_config(by_name)) == by_name


def test_a_run_folder_stands_for_the_config_it_used(tmp_path):
    (tmp_path / "config.py").write_text("x = 1\n")
    assert Path(find_config(tmp_path)) == tmp_path / "config.py"


def test_mmdet_configs_go_by_their_own_names():
    model = read_config("mmdet::gfl/gfl_r50_fpn_1x_coco.py").model
    assert (model.type, model.bbox_head.num_classes, model.backbone.depth) == ("GFL", 80, 50)


def test_every_pocket_config_can_be_read():
    paths = sorted((CONFIGS / "pocket").glob("*.py"))
    assert len(paths) > 10
    for path in paths:
        config = read_config(path)
        assert "model" in config or "student" in config, path


def test_an_unknown_config_lists_the_known_ones():
    with pytest.raises(LabError, match=r"no config 'pocket/crosskdd'.*pocket/crosskd,"):
        find_config("pocket/crosskdd")


def test_a_config_with_a_slip_is_named(tmp_path):
    (tmp_path / "slip.py").write_text("model = dict(\n")
    with pytest.raises(LabError, match=r"slip\.py cannot be read"):
        read_config(tmp_path / "slip.py")


def test_teachers_go_by_name_file_or_random(tmp_path):
    (tmp_path / "own.pth").write_bytes(b"")
    assert teacher_file(str(tmp_path / "own.pth")) == str(tmp_path / "own.pth")
    assert teacher_file(RANDOM) == RANDOM
    assert teacher_file("gfl_r18_w32").endswith("gfl_r18_w32.safetensors")
    with pytest.raises(LabError, match=r"no teacher 'gfl_r99'.*gfl_r18_w32"):
        teacher_file("gfl_r99")
