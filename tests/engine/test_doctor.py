import subprocess
import sys

from crosskd_lab.engine.doctor import findings


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
