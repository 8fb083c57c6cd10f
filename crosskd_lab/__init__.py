"""CrossKD Lab: cross-head knowledge distillation for object detection, to read, run and change.

Importing the package only puts import finders in place (``crosskd_lab.stack``), so that
mmdet runs on stock wheels; torch, mmcv and mmdet are imported when something needs them.
"""

from crosskd_lab.stack.hooks import install as _install_stack

__version__ = "0.1.0"

_install_stack()
