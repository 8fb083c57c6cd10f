"""Starting from a pretrained backbone, in full or not at all."""

from __future__ import annotations

from pathlib import Path

from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from ..files import PROJECT
from ..pair import load_in_full


@WEIGHT_INITIALIZERS.register_module()
class WholeBackbone:
    """Initialiser ``dict(type="WholeBackbone", checkpoint=FILE)`` for a detector's backbone.

    mmengine's own ``Pretrained`` passes over keys that do not fit; this one raises LabError.
    mmengine initialises a module's parts after the module itself, except for the initialiser of
    that name; so the parts are told here that they have been.

    Args:
        checkpoint: Safetensors or weights-only file with the backbone's own keys; relative paths
            count from the project's folder.
    """

    def __init__(self, checkpoint: str) -> None:
        path = Path(checkpoint)
        self.checkpoint = path if path.exists() or path.is_absolute() else PROJECT / path

    def __call__(self, module: nn.Module) -> None:
        """Load the file into ``module``, and let nothing initialise its parts after that."""
        load_in_full(module, self.checkpoint)
        for part in module.modules():
            if hasattr(part, "init_weights"):
                part.is_init = True  # type: ignore[assignment]
