"""Names of configs and teachers become files, or one line says what there is."""

import os
import random
from pathlib import Path

import pytest
from mmengine.config import Config

from crosskd_lab.configs import (
    CONFIGS,
    RANDOM,
    PlainConfig,
    config_text,
    detector_of,
    find_config,
    read_config,
    set_classes,
    teacher_file,
)
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


def test_an_unknown_config_lists_the_known_ones():
    with pytest.raises(LabError, match=r"no config 'pocket/crosskdd'.*pocket/crosskd,"):
        find_config("pocket/crosskdd")


def test_a_config_with_a_slip_is_named(tmp_path):
    for slip in ("model = dict(\n", "raise SystemExit\n"):
        (tmp_path / "slip.py").write_text(slip)
        with pytest.raises(LabError, match=r"slip\.py cannot be read"):
            read_config(tmp_path / "slip.py")
    for slip in ("data = dict(size=64)\n", "model = []\n", "model = dict(depth=5)\n"):
        (tmp_path / "slip.py").write_text(slip)
        with pytest.raises(LabError, match=r"slip\.py names no detector"):
            detector_of(read_config(tmp_path / "slip.py"))


def test_teachers_go_by_name_file_or_random(tmp_path):
    (tmp_path / "own.pth").write_bytes(b"")
    assert teacher_file(str(tmp_path / "own.pth")) == str(tmp_path / "own.pth")
    assert teacher_file(RANDOM) == RANDOM
    assert teacher_file("gfl_r18_w32").endswith("gfl_r18_w32.safetensors")
    with pytest.raises(LabError, match=r"no teacher 'gfl_r99'.*gfl_r18_w32"):
        teacher_file("gfl_r99")
    with pytest.raises(LabError, match=r"no 'gfl_r101\.pth': crosskd-lab teachers get gfl_r101"):
        teacher_file("gfl_r101.pth")


PIECES = [
    r"""{{$NO:x|\'+open("ran","w").name]#}}""",
    "{{$HOME:x}}", "{{ fileDirname }}", "{{_base_.x}}", "{{ fileBasename}}", "{{'$PATH:'}}",
    "{{$NONE:}}", "{{$X:'+open('ran','w').name+'}}", "{", "}", "{{{", "}}", "'", '"', "\"\"\"",
    "\\", "\\x7b", "\\N{DASH}", "\n", "\r", "\t", "\0", "\x1b", "%", "%s", "%(a)s", "$", "#", ",",
    "=", ":", "()", "[", "Käse", "猫", "\u2028", "\u202e", "\ud800", "\udcff", "\U0001f642", " ",
    "", "dict(", "__import__('os')", "f'{1}'", "_base_", "_delete_", "1e999", "a" * 300,
]  # fmt: skip


def anything(chance, depth=0):
    """A value as names, paths and settings may bring it."""
    kinds = ["text", "text", "text", "number", "none", "flag"]
    kind = chance.choice(kinds + ["list", "tuple", "dict", "dict"] * (depth < 3))
    several = range(chance.randint(0, 4))
    match kind:
        case "text":
            return "".join(chance.choices(PIECES, k=chance.randint(0, 6)))
        case "number":
            return chance.choice([0, -1, 2**63 - 1, 0.1, -0.0, 1e-300, 5e-324, 1.7e308, 3])
        case "list" | "tuple":
            made = [anything(chance, depth + 1) for _ in several]
            return made if kind == "list" else tuple(made)
        case "dict":
            keys = ["".join(chance.choices(PIECES, k=2)) for _ in several]
            return {key: anything(chance, depth + 1) for key in keys}
    return {"none": None, "flag": chance.random() < 0.5}[kind]


def test_what_is_written_into_a_config_is_read_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("X", "'+open('ran','w').name+'")
    hostile = 0
    for seed in range(150):
        chance = random.Random(seed)
        data = {"classes": [anything(chance) for _ in range(3)], "root": anything(chance, 9)}
        went_in = {"data": data, "model": {"x": anything(chance)}, "settings": anything(chance)}
        text = PlainConfig(went_in).pretty_text
        hostile += "{{" in repr(went_in)
        (tmp_path / "config.py").write_text(text, encoding="utf-8")
        came_out = read_config(tmp_path).to_dict()
        assert repr(came_out) == repr(Config(came_out).to_dict())
        assert came_out == went_in, seed
        assert config_text(Config(came_out)) == text, "types and order of lists too"
    assert not (tmp_path / "ran").exists()
    assert hostile > 100


def test_without_care_the_names_would_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.py").write_text(f"classes = [{PIECES[0]!r}]\n")
    Config.fromfile(tmp_path / "config.py")
    assert (tmp_path / "ran").exists(), "the templates that the fuzz writes are live"


@pytest.mark.parametrize(
    "wrong", [{"lr": float("inf")}, {"lr": float("nan")}, {"class": 1}, {"a": {"b": object()}}]
)
def test_what_has_no_literal_is_refused_before_anything_is_written(wrong):
    with pytest.raises(LabError, match="the config's (lr|class|a) cannot be written down"):
        config_text(Config(wrong))


def test_numbers_beyond_all_meaning_are_named(tmp_path):
    (tmp_path / "config.py").write_text(f"schedule = dict(steps=[1, {'9' * 400}])\n")
    with pytest.raises(LabError, match=r"config\.py, schedule, steps, 1 has more than 64 bits"):
        read_config(tmp_path)


def test_names_that_no_file_can_have_and_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    for name in (
        "a" * 300,
        "a/" * 3000,
        "nul\0",
        tmp_path / "pipe.py",
        tmp_path / "loop.py",
        tmp_path,
    ):
        with pytest.raises(LabError, match="there is no config"):
            find_config(name)
        with pytest.raises(LabError, match="there is no teacher"):
            teacher_file(str(name))


def test_a_model_that_scores_no_boxes_is_named():
    with pytest.raises(LabError, match="Segmenter has no head that scores the classes of boxes"):
        set_classes({"type": "Segmenter", "bbox_head": None}, 3)


def test_no_more_detections_are_asked_for_than_queries_and_classes_give(capsys):
    model = {"num_queries": 5, "bbox_head": {"num_classes": 80}, "test_cfg": {"max_per_img": 300}}
    set_classes(model, 2)
    assert model["test_cfg"]["max_per_img"] == 10
    assert "10 detections an image" in capsys.readouterr().err
    set_classes(model, 80)
    assert model["test_cfg"]["max_per_img"] == 10, "never raised"
