"""What can be named is what lies in the folders."""

import subprocess
import sys

from crosskd_lab.configs import CONFIGS, TEACHERS, listed, teachers
from crosskd_lab.runs.recipes import detectors, methods

FAMILIES = ("atss", "fcos", "gfl", "retinanet")


def test_every_pocket_detector_is_named():
    wanted = {f"{family}_r18_w{width}" for family in FAMILIES for width in (16, 32)}
    assert wanted <= set(detectors())
    assert all((CONFIGS / "pocket" / f"{name}.py").is_file() for name in detectors())


def test_methods_are_those_of_no_family():
    assert {"none", "kd", "crosskd", "crosskd_pkd", "fine_grained"} <= set(methods())
    assert not {"gfl_from_atss", "fcos_crosskd", *detectors()} & set(methods())


def test_teachers_are_files():
    assert "gfl_r18_w32" in teachers()
    assert all((TEACHERS / f"{name}.safetensors").is_file() for name in teachers())


def test_nothing_is_said_to_be_nothing():
    assert (listed(["a", "b"]), listed([])) == ("a, b", "none")


def test_names_need_no_torch():
    code = "import sys, crosskd_lab.runs.recipes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
