"""A run from its config to its record: the engine is mmengine's Runner."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint

from ..errors import LabError
from ..configs import RANDOM
from ..record import finish_record, start_record
from ..scenes import data_checksum
from ..stack.checkpoints import register_checkpoint_loader
from .hooks import RunMetrics

HOOKS = ("LossGuard", "MethodState", "RunMetrics", "Distances")


def train(
    cfg: Config,
    folder: str | Path,
    resume: bool = False,
    command: Sequence[str] = (),
    listeners: Sequence[Callable[[dict[str, Any]], None]] = (),
    extra: dict[str, Any] | None = None,
) -> dict[str, float]:
    """Train an experiment into a run folder.

    Args:
        cfg: A completed config, see :func:`crosskd_lab.experiment.load_experiment`.
        folder: The run's folder; holds config, record, metrics, log and checkpoints.
        resume: Go on from the folder's last checkpoint (from the start if it has none yet).
        command: The command line, for the record.
        listeners: Called with every row of metrics as it is written.
        extra: More entries for the record.

    Returns:
        The last validation's metrics, AP in points.

    Raises:
        LabError: for a folder that holds another run, a loss that is not finite, and everything
            that building the experiment can find.
    """
    folder = Path(folder)
    prepare_engine()
    if (
        resume
        and find_latest_checkpoint(str(folder)) is None
        and not (folder / "record.json").exists()
    ):
        raise LabError(f"{folder} holds no run to resume: leave --resume out to start it")
    runner = build_runner(cfg, folder)
    _start(runner, cfg, folder, resume, command, extra)
    metrics = next(hook for hook in runner.hooks if isinstance(hook, RunMetrics))
    last: dict[str, float] = {}
    metrics.listeners += [
        *listeners,
        lambda row: last.update(row) if row["kind"] == "val" else None,
    ]
    try:
        runner.train()
    except (KeyboardInterrupt, SystemExit):
        finish_record(folder, "stopped", reason="interrupted")
        raise
    except Exception as error:
        finish_record(folder, "failed", reason=str(error).splitlines()[0] if str(error) else "")
        raise
    results = {k: v for k, v in last.items() if k not in ("step", "kind")}
    finish_record(folder, "done", results=results)
    return results


def build_runner(cfg: Config, folder: str | Path) -> Runner:
    """mmengine's Runner for a completed config, quiet on the terminal, its log in the folder."""
    cfg = cfg.copy()
    own = [hook["type"] for hook in cfg.get("custom_hooks", [])]
    cfg.custom_hooks = [
        *cfg.get("custom_hooks", []),
        *(dict(type=hook) for hook in HOOKS if hook not in own),
    ]
    cfg.work_dir = str(folder)
    cfg.visualizer = None
    cfg.experiment_name = f"{Path(folder).name}-{uuid4().hex}"  # the engine keeps state by name
    with quiet(), redirect_stdout(io.StringIO()):
        runner = Runner.from_cfg(cfg)
    if not torch.cuda.is_available():  # oneDNN's convolutions are a fifth faster in this order
        runner.model.to(memory_format=torch.channels_last)
    for handler in runner.logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.ERROR)
    return runner


def prepare_engine() -> None:
    """Register mmdet's modules and the lab's checkpoint reader with mmengine, once."""
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    register_checkpoint_loader()


class quiet:
    """Keep mmengine's start-up chatter (environment, hooks, initial weights) off the terminal."""

    def __enter__(self) -> None:
        self._level = logging.root.manager.disable
        logging.disable(logging.WARNING)
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, *exc: Any) -> None:
        self._warnings.__exit__(*exc)
        logging.disable(self._level)


def _start(
    runner: Runner,
    cfg: Config,
    folder: Path,
    resume: bool,
    command: Sequence[str],
    extra: dict[str, Any] | None,
) -> None:
    """Write the record, and point the runner at the checkpoint to go on from."""
    pair = getattr(runner.model, "pair", None)
    teacher = None
    if pair is not None:
        teacher = {
            "name": pair.teacher_id["checkpoint"],
            "sha256": pair.teacher_id["sha256"] or "random",
        }
    root = cfg.get("data", {}).get("root")
    start_record(
        folder,
        command=list(command),
        config=cfg.pretty_text,
        seed=int(runner.seed),
        data={"path": str(root), "checksum": data_checksum(root) if root else None},
        teacher=teacher,
        methods=_methods(cfg),
        extra={"gpus": _gpus(), "threads": torch.get_num_threads(), **(extra or {})},
        resume=resume,
    )
    if resume and find_latest_checkpoint(str(folder)):
        runner._resume = True


def _methods(cfg: Config) -> list[dict] | None:
    methods = cfg.model.get("methods")
    if methods is None:
        return None
    return [{**method, "type": method["type"].rpartition(".")[2]} for method in methods]


def _gpus() -> list[str]:
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
