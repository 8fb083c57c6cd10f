"""The doctor finds nothing wrong here, and each thing that may be wrong, with what to do."""

import shutil
import subprocess
import sys
import warnings
from importlib import metadata
from types import SimpleNamespace

import pytest
import torch

from crosskd_lab.engine import doctor
from crosskd_lab.engine.doctor import Finding, finding, findings
from crosskd_lab.errors import LabError


def test_this_environment_is_fit():
    found = list(findings())
    assert [one for one in found if not one.ok] == []
    names = [one.name for one in found]
    assert names[0] == "python"
    assert {"torch", "mmdet", "device", "mmcv ops", "detector", "disk"} <= set(names)
    assert len(names) == len(set(names))


def test_importing_the_doctor_imports_nothing_that_may_be_broken():
    code = (
        "import sys, crosskd_lab.engine.doctor, crosskd_lab.cli.doctor\n"
        "assert not {'torch', 'mmcv', 'mmdet', 'numpy'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("version", "ok"),
    [((3, 9, 19), False), ((3, 10, 0), True), ((3, 12, 9), True), ((3, 13, 0), False)],
)
def test_python_from_3_10_to_3_12(version, ok, monkeypatch):
    monkeypatch.setattr(sys, "version_info", version)
    found = next(findings())
    assert found.ok == ok and ".".join(map(str, version)) in found.detail


def test_disk_space_is_that_of_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    free = {str(tmp_path): 2.1e9}
    monkeypatch.setattr(shutil, "disk_usage", lambda at: SimpleNamespace(free=free[str(at)]))
    assert "2 GB free" in doctor._disk()
    free[str(tmp_path)] = 1.9e9
    with pytest.raises(LabError, match=r"1\.9 GB free in .*, 2 GB are needed"):
        doctor._disk()


def test_a_wrong_op_is_caught(monkeypatch):
    import mmcv.ops

    def keeps_everything(boxes, scores, threshold):
        return boxes, torch.arange(len(boxes))

    with monkeypatch.context() as patch:
        patch.setattr(mmcv.ops, "nms", keeps_everything)
        with pytest.raises(LabError, match=r"nms kept boxes \[0, 1, 2\]"):
            doctor._mmcv_ops()
    monkeypatch.setattr(mmcv.ops, "roi_align", lambda *_: torch.zeros(1, 1, 2, 2))
    with pytest.raises(LabError, match=r"roi_align gave \[0\.0, 0\.0, 0\.0, 0\.0\]"):
        doctor._mmcv_ops()


def test_a_detector_that_finds_nothing_finite_is_caught(monkeypatch):
    from mmdet.registry import MODELS

    build = MODELS.build

    def broken(config):
        model = build(config)
        if hasattr(model, "bbox_head"):  # not its parts, which are built by the same name
            torch.nn.init.constant_(model.bbox_head.gfl_reg.weight, float("nan"))
        return model

    monkeypatch.setattr(MODELS, "build", broken)
    with pytest.raises(LabError, match="GFL gave"):
        doctor._detector()


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (LabError("1 GB free"), "1 GB free"),
        (ImportError("libGL.so.1: cannot open\nmore"), "ImportError: libGL.so.1: cannot open"),
        (RuntimeError(), "RuntimeError: "),
    ],
)
def test_a_look_that_raises_is_a_fail_in_one_line_and_a_warning_is_none(error, detail):
    def look():
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        if error:
            raise error
        return "82 GB free"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert finding("disk", look, "free some") == Finding("disk", False, detail, "free some")
        error = None
        assert finding("disk", look, "free some") == Finding("disk", True, "82 GB free", "")


@pytest.fixture
def judge(monkeypatch):
    """Findings by name for requirements and installed versions."""

    def judge(wanted: list[str], installed: dict[str, str]) -> dict[str, Finding]:
        def version(name: str) -> str:
            if name not in installed:
                raise metadata.PackageNotFoundError(name)
            return installed[name]

        monkeypatch.setattr(metadata, "requires", lambda name: wanted)
        monkeypatch.setattr(metadata, "version", version)
        return {one.name: one for one in doctor.package_findings()}

    return judge


def test_missing_and_wrong_versions_fail_with_a_command(judge):
    found = judge(["torch>=2.6", "mmdet==3.3.*", "numpy>=1.26"], {"torch": "2.5.1", "numpy": "2.0"})
    assert not found["torch"].ok and ">=2.6 is needed" in found["torch"].detail
    assert "pip install 'torch>=2.6'" in found["torch"].remedy
    assert found["mmdet"] == Finding("mmdet", False, "not installed", found["mmdet"].remedy)
    assert "pip install 'mmdet==3.3.*'" in found["mmdet"].remedy
    assert found["numpy"] == Finding("numpy", True, "2.0", "")


def test_a_compiled_mmcv_or_headless_opencv_serves_as_well(judge):
    wanted = ["mmcv-lite>=2.1,<2.2", "opencv-python>=4.9"]
    found = judge(wanted, {"mmcv": "2.1.0", "opencv-python-headless": "4.10.0"})
    assert found["mmcv"].ok and found["opencv-python-headless"].ok
    assert not judge(wanted, {"mmcv": "2.2.0"})["mmcv"].ok


def test_the_labs_extra_is_needed_and_no_other(judge):
    wanted = ['papermill>=2; extra == "lab"', 'ruff>=9; extra == "dev"', "rich"]
    found = judge(wanted, {"rich": "15.0", "ruff": "1.0"})
    assert set(found) == {"rich", "papermill"} and not found["papermill"].ok
    assert judge(wanted, {"rich": "15.0", "papermill": "2.0"})["papermill"].ok


def test_a_folder_that_was_never_installed_says_so(monkeypatch):
    def nothing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", nothing)
    (found,) = doctor.package_findings()
    assert found.name == "crosskd-lab" and not found.ok and "make" in found.remedy
