"""TensorBoard, WandB, MLflow and whatever else mmengine can send a run's numbers to.

Off unless a config's ``vis_backends`` names one. mmdet's configs name the plain file there, which
every run has anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from mmengine.config import Config
from mmengine.registry import VISBACKENDS

from ..errors import LabError

PLAIN = "LocalVisBackend"
PACKAGES = {
    "TensorboardVisBackend": "tensorboard",
    "WandbVisBackend": "wandb",
    "MLflowVisBackend": "mlflow",
    "ClearMLVisBackend": "clearml",
    "NeptuneVisBackend": "neptune",
    "DVCLiveVisBackend": "dvclive",
    "AimVisBackend": "aim",
}
"""Of mmengine's backends: what each needs installed."""


def visualizer(cfg: Config) -> dict[str, Any] | None:
    """The entry from which mmengine's Runner makes what its scalars go to; None for its own.

    Args:
        cfg: A completed config.

    Raises:
        LabError: for a backend that mmengine does not know, or whose package is not installed.
    """
    asked = boards(cfg)
    if not asked:
        return None
    return dict(type="mmengine.Visualizer", vis_backends=[dict(type=PLAIN), *asked])


def boards(cfg: Config) -> list[dict[str, Any]]:
    """The backends that a config asks for beside the plain file; see :func:`visualizer`."""
    named = cfg.get("vis_backends") or []
    if not all(isinstance(one, Mapping) and "type" in one for one in _listed(named)):
        raise LabError(
            f"vis_backends is a list such as [{{'type': 'WandbVisBackend'}}], got {named!r}"
        )
    asked = [dict(one) for one in _listed(named) if one["type"] != PLAIN]
    for one in asked:
        _check(str(one["type"]))
    return asked


def _listed(named: Any) -> list[Any]:
    return list(named) if isinstance(named, (list, tuple)) else [named]


def _check(kind: str) -> None:
    if VISBACKENDS.get(kind) is None:
        known = ", ".join(sorted(PACKAGES))
        raise LabError(f"vis_backends: mmengine has no {kind!r}; it has {known}")
    package = PACKAGES.get(kind.rpartition(".")[2])
    spec = find_spec(package) if package else None
    if package and (
        spec is None or spec.origin is None
    ):  # a mere folder of that name has no origin
        extra = f"'crosskd-lab[{package}]'" if package == "tensorboard" else package
        raise LabError(f"{kind} needs a package that is not installed: pip install {extra}")
