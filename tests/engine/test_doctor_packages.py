from importlib import metadata

import pytest

from crosskd_lab.engine import doctor as packages
from crosskd_lab.engine.doctor import Finding


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
