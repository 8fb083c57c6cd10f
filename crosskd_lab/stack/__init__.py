"""What stock wheels lack: mmcv's compiled ops, torchvision beside CPU torch, safe checkpoints."""

from crosskd_lab.stack.hooks import install

__all__ = ["install"]
