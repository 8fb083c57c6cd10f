"""What mmcv reports about its own build, in its environment listings."""

from __future__ import annotations


def get_compiler_version() -> str:
    """Says that nothing was compiled."""
    return "none: crosskd_lab's ops in PyTorch"


def get_compiling_cuda_version() -> str:
    """Says that nothing was compiled for CUDA."""
    return "not available"
