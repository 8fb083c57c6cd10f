import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from crosskd_lab.engine import doctor as checks
from crosskd_lab.engine.doctor import Finding
from crosskd_lab.stack.checkpoints import save_weights

CHECKS = {check.name: check for check in checks.CHECKS}


def look(name):
    return CHECKS[name].finding()


def test_every_check_has_a_remedy():
    assert all(check.remedy for check in checks.CHECKS)


@pytest.mark.parametrize(
    ("version", "ok"),
    [((3, 9, 19), False), ((3, 10, 0), True), ((3, 12, 9), True), ((3, 13, 0), False)],
)
def test_python_from_3_10_to_3_12(version, ok, monkeypatch):
    monkeypatch.setattr(sys, "version_info", version)
    finding = look("python")
    assert finding.ok == ok
    assert ".".join(map(str, version)) in finding.detail


@pytest.mark.parametrize(
    ("number", "policy", "ok"),
    [
        (None, None, True),
        ("1", "PASSIVE", True),
        ("1", "passive", True),
        ("100000", None, False),
        ("two", None, False),
        ("1", "ACTIVE", False),
    ],
)
def test_thread_settings(number, policy, ok, monkeypatch):
    for word, value in (("NUM_THREADS", number), ("WAIT_POLICY", policy)):
        monkeypatch.delenv(f"OMP_{word}", raising=False)
        if value is not None:
            monkeypatch.setenv(f"OMP_{word}", value)
    finding = look("threads")
    assert finding.ok == ok
    culprit = policy if policy == "ACTIVE" else number or "unset"
    assert culprit in finding.detail


def test_disk_space_is_that_of_the_working_folder(tmp_path, monkeypatch):
    asked = []

    def usage(free: float) -> Callable[[Path], SimpleNamespace]:
        return lambda folder: asked.append(folder) or SimpleNamespace(free=free)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", usage(2.1e9))
    assert look("disk").ok
    monkeypatch.setattr(shutil, "disk_usage", usage(1.9e9))
    finding = look("disk")
    assert not finding.ok and "1.9 GB free" in finding.detail and "2 GB" in finding.detail
    assert asked == [tmp_path, tmp_path]


def test_a_wrong_op_is_caught(monkeypatch):
    import mmcv.ops

    def keeps_everything(boxes: Tensor, scores: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        return boxes, torch.arange(len(boxes))

    def pools_zeros(features: Tensor, rois: Tensor, size: tuple[int, int], *rest: float) -> Tensor:
        return torch.zeros(len(rois), 1, *size)

    assert look("mmcv ops").ok
    with monkeypatch.context() as patch:
        patch.setattr(mmcv.ops, "nms", keeps_everything)
        assert "nms kept boxes [0, 1, 2]" in look("mmcv ops").detail
    monkeypatch.setattr(mmcv.ops, "roi_align", pools_zeros)
    finding = look("mmcv ops")
    assert not finding.ok and "roi_align gave [0.0, 0.0, 0.0, 0.0]" in finding.detail


def test_a_detector_that_finds_nothing_finite_is_caught(monkeypatch):
    from mmdet.registry import MODELS

    assert look("detector").ok
    build = MODELS.build

    def broken(config: dict) -> torch.nn.Module:
        model = build(config)
        torch.nn.init.constant_(model.bbox_head.gfl_reg.weight, float("nan"))
        return model

    monkeypatch.setattr(MODELS, "build", broken)
    assert not look("detector").ok


def test_a_package_that_does_not_import_is_a_fail(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    finding = look("torchvision ops")
    assert not finding.ok and finding.detail.startswith("ModuleNotFoundError")


def test_teachers_are_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "TEACHERS", tmp_path / "teachers")
    assert "none shipped" in look("teachers").detail
    file = tmp_path / "teachers" / "pocket" / "gfl.safetensors"
    save_weights({"w": torch.arange(3000.0)}, file, half=False)
    assert look("teachers") == Finding("teachers", True, "gfl: readable")
    file.write_bytes(file.read_bytes()[:-1000])
    finding = look("teachers")
    assert not finding.ok and str(file) in finding.detail
    file.unlink()
    assert not look("teachers").ok  # a folder of teachers without any
