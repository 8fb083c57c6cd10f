"""The doctor: each check right on a sound machine, and in one line with a remedy on another."""

import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from crosskd_lab.engine import doctor as checks
from crosskd_lab.engine import doctor as packages
from crosskd_lab.engine.doctor import Check, Finding, findings
from crosskd_lab.errors import LabError
from crosskd_lab.stack.checkpoints import save_weights


def test_this_environment_is_fit():
    found = list(findings())
    assert [finding for finding in found if not finding.ok] == []
    names = [finding.name for finding in found]
    assert names[0] == "python"
    assert {"torch", "mmdet", "device", "mmcv ops", "detector", "teachers", "disk"} <= set(names)
    assert len(names) == len(set(names))


def test_importing_the_doctor_imports_nothing_that_may_be_broken():
    code = (
        "import sys, crosskd_lab.engine.doctor, crosskd_lab.cli.doctor\n"
        "assert not {'torch', 'mmcv', 'mmdet', 'numpy'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


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


def _raise(error):
    raise error


def test_a_look_that_returns_is_ok_and_needs_no_remedy():
    assert Check("disk", lambda: "82 GB free", "free some").finding() == Finding(
        "disk", True, "82 GB free", ""
    )


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (LabError("1 GB free"), "1 GB free"),
        (
            ImportError("libGL.so.1: cannot open\nmore lines"),
            "ImportError: libGL.so.1: cannot open",
        ),
        (RuntimeError(), "RuntimeError: "),
    ],
)
def test_a_look_that_raises_is_a_fail_in_one_line(error, detail):
    finding = Check("disk", lambda: _raise(error), "free some").finding()
    assert finding == Finding("disk", False, detail, "free some")


def test_warnings_of_stock_wheels_are_not_the_users_concern():
    def look() -> str:
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return "fine"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Check("torch", look, "").finding().ok


@pytest.fixture
def judge(monkeypatch, tmp_path):
    """Findings by name for requirements, installed versions and the text of a lock."""

    def judge(wanted: list[str], installed: dict[str, str], lock: str = "") -> dict[str, Finding]:
        def version(name: str) -> str:
            if name not in installed:
                raise metadata.PackageNotFoundError(name)
            return installed[name]

        (tmp_path / "requirements.lock").write_text(lock)
        monkeypatch.setattr(packages, "LOCK", tmp_path / "requirements.lock")
        monkeypatch.setattr(metadata, "requires", lambda name: wanted)
        monkeypatch.setattr(metadata, "version", version)
        return {finding.name: finding for finding in packages.package_findings()}

    return judge


def test_missing_and_wrong_versions_fail_with_a_command(judge):
    found = judge(["torch>=2.6", "mmdet==3.3.*", "numpy>=1.26"], {"torch": "2.5.1", "numpy": "2.0"})
    assert not found["torch"].ok and ">=2.6 is needed" in found["torch"].detail
    assert "pip install 'torch>=2.6'" in found["torch"].remedy
    assert found["mmdet"] == Finding("mmdet", False, "not installed", found["mmdet"].remedy)
    assert "pip install 'mmdet==3.3.*'" in found["mmdet"].remedy
    assert found["numpy"] == Finding("numpy", True, "2.0", "")


def test_a_version_beside_the_lock_is_told_but_no_fail(judge):
    lock = (
        "# exact pins\n"
        "Faster_Coco.Eval==1.8.0\n"
        "torch==2.13.0\n"
        "scipy==1.17.1 ; python_version >= '3'\n"
        "scipy==1.15.0 ; python_version < '3'\n"
    )
    installed = {"torch": "2.13.0+cpu", "scipy": "1.16.0", "faster-coco-eval": "1.8.0"}
    found = judge(["torch>=2.6", "scipy", "faster-coco-eval"], installed, lock)
    assert all(finding.ok for finding in found.values())
    assert found["torch"].detail == "2.13.0+cpu"
    assert found["faster-coco-eval"].detail == "1.8.0"
    assert "1.16.0" in found["scipy"].detail and "1.17.1" in found["scipy"].detail


def test_a_compiled_mmcv_or_headless_opencv_serves_as_well(judge):
    wanted = ["mmcv-lite>=2.1,<2.2", "opencv-python>=4.9"]
    found = judge(wanted, {"mmcv": "2.1.0", "opencv-python-headless": "4.10.0"})
    assert found["mmcv"].ok and found["opencv-python-headless"].ok
    assert not judge(wanted, {"mmcv": "2.2.0"})["mmcv"].ok


def test_the_labs_extra_is_needed_and_no_other(judge):
    wanted = ['papermill>=2; extra == "lab"', 'ruff>=9; extra == "dev"', "rich"]
    found = judge(wanted, {"rich": "15.0", "ruff": "1.0"})
    assert set(found) == {"rich", "papermill"} and not found["papermill"].ok
    assert not judge(wanted, {"rich": "15.0", "papermill": "1.0"})["papermill"].ok
    assert judge(wanted, {"rich": "15.0", "papermill": "2.0"})["papermill"].ok


def test_a_folder_that_was_never_installed_says_so(monkeypatch):
    def nothing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", nothing)
    (finding,) = packages.package_findings()
    assert finding.name == "crosskd-lab" and not finding.ok and "make" in finding.remedy
