from __future__ import annotations

from crosskd_lab.stack.ops import info


def test_mmcv_reports_that_nothing_is_compiled() -> None:
    assert "PyTorch" in info.get_compiler_version()
    assert info.get_compiling_cuda_version() == "not available"
