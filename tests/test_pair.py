"""A teacher is loaded in full or not at all, and only into a pair that fits."""

import pytest
import torch
from torch import nn

from crosskd_lab.configs import read_config
from crosskd_lab.errors import LabError
from crosskd_lab.files import PROJECT
from crosskd_lab.pair import (
    Pair,
    WholeBackbone,
    build_detector,
    build_pair,
    check_teacher_confidence,
    load_in_full,
    without_prefixes,
)
from crosskd_lab.stack.checkpoints import save_weights


@pytest.fixture
def saved(make_detector, tmp_path):
    """``saved(change)``: file of a teacher's weights, after ``change`` was made to their dict."""

    def save(change=lambda weights: None):
        weights = dict(make_detector(7).state_dict())
        change(weights)
        torch.save(dict(state_dict=weights), tmp_path / "teacher.pth")
        return str(tmp_path / "teacher.pth")

    return save


def test_the_teacher_is_loaded_frozen_and_known_by_its_checksum(saved, gfl_config, make_detector):
    pair = build_pair(gfl_config(), dict(config=gfl_config(), checkpoint=saved()))
    wanted = make_detector(7).state_dict()
    assert all(torch.equal(v, wanted[k]) for k, v in pair.teacher.state_dict().items())
    assert not any(w.requires_grad for w in pair.teacher.parameters())
    assert not any(m.training for m in pair.teacher.modules())
    assert pair.teacher_id["checkpoint"] == "teacher.pth" and len(pair.teacher_id["sha256"]) == 64
    assert all(w.requires_grad for w in pair.student.bbox_head.parameters())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("bbox_head.gfl_cls.weight"), "has no weights for bbox_head.gfl_cls"),
        (lambda w: w.update({"odd.key": torch.ones(1)}), "detector lacks: odd.key"),
        (
            lambda w: w.update({"bbox_head.gfl_cls.bias": torch.ones(80)}),
            "other shapes for bbox_head.gfl_cls.bias",
        ),
    ],
    ids=["missing", "unexpected", "reshaped"],
)
def test_weights_that_do_not_fit_are_named(saved, gfl_config, change, said):
    with pytest.raises(LabError, match=said) as error:
        build_pair(gfl_config(), dict(config=gfl_config(), checkpoint=saved(change)))
    assert "teacher.pth" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "teacher", [dict(checkpoint="random"), dict(config="x"), dict(config="x", checkpoint="y", z=1)]
)
def test_a_teacher_is_a_config_and_a_checkpoint(gfl_config, teacher):
    with pytest.raises(LabError, match="a teacher is dict.*got keys"):
        build_pair(gfl_config(), teacher)


def test_an_experiments_student_may_be_a_teacher_and_nothing_is_no_checkpoint(gfl_config):
    student = read_config("pocket/gfl_r18_w16").model
    pair = build_pair(student, dict(config="pocket/crosskd", checkpoint="random"))
    assert type(pair.teacher) is type(pair.student)
    with pytest.raises(LabError, match="teacher.checkpoint is None: name a file, or 'random'"):
        build_pair(gfl_config(), dict(config=gfl_config(), checkpoint=None))


def test_unknown_checkpoints_and_detectors_are_named(gfl_config):
    with pytest.raises(LabError, match="there is no teacher 'nobody'"):
        build_pair(gfl_config(), dict(config=gfl_config(), checkpoint="nobody"))
    with pytest.raises(LabError, match="mmdet cannot build"):
        build_detector(dict(type="NoSuchDetector"))


@pytest.mark.parametrize("prefix", ["module.", "model.", "architecture.", "ema_", "module.model."])
def test_a_known_prefix_is_taken_off_and_said(make_detector, tmp_path, capfd, prefix):
    weights = make_detector(7).state_dict()
    torch.save({prefix + name: value for name, value in weights.items()}, tmp_path / "t.pth")
    other = make_detector(8)
    load_in_full(other, tmp_path / "t.pth")
    assert all(torch.equal(value, weights[name]) for name, value in other.state_dict().items())
    said = f"t.pth: took prefixes off the names of weights: '{prefix}' ({len(weights)})\n"
    assert capfd.readouterr().err == said


def test_integers_are_cast_to_no_weight(make_detector, tmp_path):
    weights, key = make_detector(7).state_dict(), "bbox_head.scales.0.scale"
    assert weights["backbone.bn1.num_batches_tracked"].dtype == torch.int64
    load_in_full(make_detector(8), save(weights, tmp_path / "t.pth"))
    quantised = {**weights, key: weights[key].mul(9).to(torch.int8)}
    with pytest.raises(LabError, match=rf"t\.pth has integers for {key}: quantised models"):
        load_in_full(make_detector(8), save(quantised, tmp_path / "t.pth"))


def save(weights, path):
    torch.save(weights, path)
    return path


def test_an_average_beside_the_weights_yields_to_them_and_unknown_names_stay():
    ones, twos = torch.ones(1), torch.full((1,), 2.0)
    held = {"ema_neck_conv_bias": twos, "neck.conv.bias": ones, "teacher.neck.conv.bias": twos}
    found, said = without_prefixes(held, ["neck.conv.bias"])
    assert found == {"neck.conv.bias": ones, "teacher.neck.conv.bias": twos}
    assert said.endswith("'ema_' (1)")
    assert without_prefixes(found, ["neck.conv.bias"]) == (found, "")
    nested = {"student.neck.w": ones}  # a detector that has such a part itself
    assert without_prefixes(nested, ["student.neck.w"]) == (nested, "")


def test_other_classes_are_refused(make_detector):
    with pytest.raises(LabError, match="student knows 2 classes, the teacher 3"):
        Pair(make_detector(0, classes=2), make_detector(1))


def test_other_strides_are_refused(make_detector, gfl_config):
    anchors = dict(gfl_config()["bbox_head"]["anchor_generator"], strides=[4, 8, 16, 32, 64])
    with pytest.raises(LabError, match=r"strides \(4, 8, 16, 32, 64\).*\(8, 16, 32, 64, 128\)"):
        Pair(make_detector(0, anchor_generator=anchors), make_detector(1))


@pytest.mark.parametrize("name", ["mean", "std"])
def test_other_normalisation_is_refused(make_detector, gfl_config, name):
    config = gfl_config()
    config["data_preprocessor"][name] = [9.0] * 3
    student = build_detector(config)
    with pytest.raises(LabError, match=f"by different {name} .*9.0"):
        Pair(student, make_detector(1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": None, "std": None}, r"by different mean .*0\.0"),
        ({"bgr_to_rgb": False}, "by different order of channels .as read and turned"),
    ],
)
def test_so_is_none_and_another_order_of_channels(make_detector, gfl_config, changes, said):
    config = gfl_config()
    config["data_preprocessor"] |= {"bgr_to_rgb": True} | changes
    other = gfl_config()
    other["data_preprocessor"] |= {"bgr_to_rgb": True}
    with pytest.raises(LabError, match=said):
        Pair(build_detector(config), build_detector(other))


def test_classes_are_matched_with_those_in_the_teachers_file(gfl_config, make_detector, tmp_path):
    weights = make_detector(7).state_dict()
    meta = {"dataset_meta": {"classes": ("c", "b", "a")}}
    torch.save({"meta": meta, "state_dict": weights}, tmp_path / "t.pth")
    teacher = dict(config=gfl_config(), checkpoint=str(tmp_path / "t.pth"))
    pair = build_pair(gfl_config(), teacher, ["a", "b", "c"])
    assert pair.teacher_head.class_order == [2, 1, 0]
    pair = build_pair(gfl_config(), {**teacher, "classes": ["a", "b", "c"]}, ["a", "b", "c"])
    assert pair.teacher_head.class_order is None, "what is said counts"


def test_awake_is_a_score_of_a_twentieth():
    check_teacher_confidence(torch.tensor([[[-9.0, -2.9]]]))  # sigmoid 0.052
    for logit in (-3.0, float("nan")):
        with pytest.raises(LabError, match="teacher's best score"):
            check_teacher_confidence(torch.tensor([[[logit]]]))


def test_a_backbones_start_is_loaded_whole_and_found_from_anywhere(tmp_path, monkeypatch):
    weights = {"weight": torch.full((2, 3), 0.5), "bias": torch.tensor([1.0, -2.0])}
    save_weights(weights, tmp_path / "w.safetensors")
    layer = nn.Linear(3, 2)
    WholeBackbone(str(tmp_path / "w.safetensors"))(layer)
    assert torch.equal(layer.weight, weights["weight"]) and torch.equal(layer.bias, weights["bias"])
    save_weights({"weight": torch.ones(2, 3)}, tmp_path / "half.safetensors")
    with pytest.raises(LabError, match="has no weights for bias"):
        WholeBackbone(str(tmp_path / "half.safetensors"))(layer)
    assert torch.equal(layer.weight, weights["weight"]), "what does not fit changes nothing"
    monkeypatch.chdir(tmp_path)
    name = "data/backbones/r18_w16.safetensors"
    assert WholeBackbone(name).checkpoint == PROJECT / name
    with pytest.raises(LabError, match="there is no file"):
        WholeBackbone("data/backbones/none.safetensors")(nn.Linear(1, 1))
