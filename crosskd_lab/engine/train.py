"""A run from its config to its record: the engine is mmengine's Runner.

Importing this registers everything that configs name by string."""

from __future__ import annotations

import gc
import io
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_distributed, is_main_process
from mmengine.runner import Runner
from torch.distributed.rendezvous import rendezvous
from tqdm.auto import tqdm

from ..configs import PlainConfig, config_text, innermost
from ..data.scene_sets import data_checksum
from ..distiller import Distiller  # noqa: F401  (configs name it by string)
from ..errors import LabError, one_line
from ..files import sole_writer
from ..stack.weights import register_checkpoint_loader
from . import draws, metrics  # noqa: F401  (configs name their classes by string)
from .fast import quicken
from .hooks import (
    WHOLE,
    Listener,
    RunMetrics,
    bare,
    last_checkpoint,
    record_fault,
    record_stop,
    terminated_as_exit,
)
from .record import RECORD, finish_record, read_metrics, start_record
from .resident import fix_shapes
from .schedule import load_boxes_first

if TYPE_CHECKING:
    from .together import Turn


PLAIN, TENSORBOARD = "LocalVisBackend", "TensorboardVisBackend"


def visualizer(cfg: Config) -> dict[str, Any] | None:
    """The entry from which mmengine's Runner makes what its scalars go to; None for its own."""
    asked = [dict(one) for one in cfg.get("vis_backends") or [] if one["type"] != PLAIN]
    if cfg.get("tensorboard") and all(one["type"] != TENSORBOARD for one in asked):
        asked.append({"type": TENSORBOARD})
    if not asked:
        return None
    return dict(type="mmengine.Visualizer", vis_backends=[dict(type=PLAIN), *asked])


class StepBar:
    """A listener for :func:`crosskd_lab.engine.train.train` that draws one bar.

    ``begun`` steps were done before, when a run is resumed; they do not count as speed.
    """

    def __init__(self, steps: int, title: str, begun: int = 0) -> None:
        self.bar = tqdm(total=steps, desc=title, unit="step", dynamic_ncols=True, initial=begun)
        self.shown: dict[str, str] = {}

    def __call__(self, row: dict[str, Any]) -> None:
        """Move to a row's step."""
        self.bar.update(row["step"] - self.bar.n)
        if row["kind"] == "val" and "AP" in row:
            self.shown["AP"] = f"{row['AP']:.1f}"
        elif "loss" in row:
            self.shown["loss"] = f"{row['loss']:.2f}"
        self.bar.set_postfix(self.shown)

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()


_BUILT = count()
HOOKS = ("LossGuard", "MethodState", "RunMetrics", "Distances", "CutValidation")


def train(
    cfg: Config,
    folder: str | Path,
    resume: bool = False,
    command: Sequence[str] = (),
    listeners: Sequence[Listener] = (),
    extra: dict[str, Any] | None = None,
    turn: Turn | None = None,
) -> dict[str, float]:
    """Train an experiment into a run folder; the last validation's metrics, AP in points.

    ``cfg`` is complete, see :func:`crosskd_lab.engine.config.load_experiment`. ``folder`` gets
    config, record, metrics, log and checkpoints; ``resume`` goes on from its last checkpoint.
    ``command`` and ``extra`` are for the record; ``listeners`` are called with every row of
    metrics. ``turn`` is this run's part where :func:`crosskd_lab.engine.together.train_together`
    trains several.

    Raises:
        LabError: for a folder that holds another run, or that another process writes into; for a
            loss that is not finite, and everything that building the experiment can find.
    """
    folder, first = Path(folder), os.environ.get("RANK", "0") == "0"
    # the first process holds the folder for all of its run
    with sole_writer(folder) if first else nullcontext():
        if first and resume != (folder / RECORD).exists():
            raise LabError(
                f"{folder} holds no run to resume: leave --resume out to start it"
                if resume
                else f"{folder} holds a run already: give --resume to go on, or another --out"
                if last_checkpoint(folder)
                else f"{folder} holds a run already, which has saved nothing: give --resume to "
                "start it again as it was, remove the folder, or give another --out"
            )
        newest = last_checkpoint(folder) if resume else None
        prepare_engine()
        with _or_nothing(folder) if first else nullcontext():
            runner = build_runner(cfg, folder)
        if turn is not None:
            turn.join(runner, cfg)
        _record_start(runner, cfg, folder, resume, command, extra)
        if newest:
            runner._resume, runner._load_from = True, str(newest)
        next(hook for hook in runner.hooks if isinstance(hook, RunMetrics)).listeners += listeners
        try:
            with terminated_as_exit():
                runner.train()
        except (KeyboardInterrupt, SystemExit):
            record_stop(folder, "interrupted")
            raise
        except Exception as error:
            record_fault(folder, error)
            raise
        finally:  # mmengine keeps it open, and writes into it whatever is initialised later
            for handler in runner.logger.handlers[:]:
                if isinstance(handler, logging.FileHandler):
                    runner.logger.removeHandler(handler)
                    handler.close()
        results = _last_validation(folder)
        if is_main_process():
            finish_record(folder, "done", results=results)
        return results


@contextmanager
def _or_nothing(folder: Path) -> Iterator[None]:
    """Clear away the folders, that of mmengine's log, that came into one where building failed."""
    before = set(folder.iterdir())
    try:
        yield
    except BaseException:
        for left in set(folder.iterdir()) - before:
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        raise


def build_runner(cfg: Config, folder: str | Path) -> Runner:
    """mmengine's Runner for a completed config, quiet on the terminal, its log in the folder."""
    cfg = PlainConfig(cfg.to_dict())
    asked = cfg.get("custom_hooks") or []
    own = [hook["type"] for hook in asked]
    cfg.custom_hooks = [
        *asked,
        *(dict(type=hook) for hook in HOOKS if hook not in own),
    ]
    cfg.work_dir = str(folder)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # torchrun started us with others
        cfg.launcher = "pytorch"
        if not torch.cuda.is_available():  # mmengine's own way needs GPUs
            cfg.model_wrapper_cfg = dict(
                type="MMDistributedDataParallel", device_ids=None, broadcast_buffers=False
            )
            _meet()
    # mmengine keeps logger and scalars by this name and the second: of two runs called alike that
    # begin within one, the later would write into the first one's
    cfg.experiment_name = f"{Path(folder).name or 'run'}-{next(_BUILT)}"
    if cfg.get("val_dataloader"):
        load_boxes_first(cfg.val_dataloader.dataset)
    if not cfg.get("default_hooks"):
        cfg.default_hooks = ConfigDict()
    hooks = cfg.default_hooks
    if not hooks.setdefault("checkpoint", dict(type="CheckpointHook", interval=1)):
        raise LabError("default_hooks.checkpoint is missing: a run keeps checkpoints to be resumed")
    hooks.checkpoint.backend_args = dict(backend=WHOLE)
    hooks.setdefault("runtime_info", dict(type="RunInfo"))
    if torch.cuda.is_available():  # copies from other memory wait for the step before
        cfg.train_dataloader.setdefault("pin_memory", True)
    try:
        cfg.visualizer = visualizer(cfg)
        with quiet(), redirect_stdout(io.StringIO()):  # pycocotools chatters
            runner = _Runner.from_cfg(cfg)
            _build(runner)
    except (LabError, OSError):
        raise
    except Exception as error:
        said = one_line(str(error), 400) or type(error).__name__
        raise LabError(
            f"the engine cannot build what the config says ({said}): correct that entry"
        ) from error
    if runner.val_loop is not None:
        for metric in runner.val_loop.evaluator.metrics:
            # where processes put their parts together; else it would be the folder we stand in
            metric.collect_dir = str(Path(folder) / "collected")
    settle(bare(runner.model)).data_preprocessor._non_blocking = True
    choose_form(bare(runner.model), cfg)
    if torch.cuda.is_available() and not is_distributed():
        fix_shapes(runner)
    for handler in runner.logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.ERROR)
    return runner


def takes_fast(cfg: Config) -> bool:
    """Whether a run takes the fast form of the step; bf16 has no other.

    Raises:
        LabError: if the config says neither True nor False.
    """
    usual = torch.cuda.is_available() or cfg.get("precision", "fp32") != "fp32"
    if not isinstance(said := cfg.get("fast", usual), bool):
        raise LabError(f"fast is {said!r}: give True or False")
    return said


def choose_form(model: Any, cfg: Config) -> None:
    """The fast form of the step on a GPU, or as the config says by ``fast``; and its precision.

    On a CPU stock's own step is the default: rounding grows with every step, and recorded rows were
    made by it.
    """
    fast, precision = takes_fast(cfg), cfg.get("precision", "fp32")
    if getattr(model, "pair", None) is not None and fast:
        quicken(model, precision)
    elif cfg.get("fast"):
        raise LabError("fast=True is for a student with a teacher: leave it out, or name methods")
    elif precision != "fp32":
        raise LabError(
            f"precision={precision} is for a student and a teacher in their fast form: leave "
            "fast=False out and name methods, or train in fp32"
        )


def _build(runner: Runner) -> None:
    """Build all that mmengine would build at the first step, in its order: bad entries show now."""
    _ = runner.train_loop, runner.val_loop
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
    runner.auto_scale_lr = None  # done
    if runner.param_schedulers is not None:
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)


def _meet() -> None:
    """Join the other processes by gloo, at an address book of this attempt's own.

    After a restart, torchrun's still holds where the processes before were to be found.
    """
    if torch.distributed.is_initialized():
        return
    store, rank, world = next(rendezvous("env://"))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    own = torch.distributed.PrefixStore(f"attempt {attempt}", store)
    torch.distributed.init_process_group("gloo", store=own, rank=rank, world_size=world)


class _Runner(Runner):
    """mmengine's, without its second copy of the config (the record has the one as used)."""

    def dump_config(self) -> None:
        pass

    def load_checkpoint(self, filename: Any, *args: Any, **kwargs: Any) -> Any:
        with redirect_stdout(io.StringIO()):  # it prints what it loads
            return super().load_checkpoint(str(filename), *args, **kwargs)


def settle(model: Any) -> Any:
    """Put a detector on the device and in the memory order in which it runs fastest."""
    model.to(get_device())
    if not torch.cuda.is_available():  # oneDNN's convolutions are a fifth faster in this order
        model.to(memory_format=torch.channels_last)
    return model


@cache
def prepare_engine() -> None:
    """Register mmdet's modules and the lab's checkpoint reader with mmengine, once."""
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    register_checkpoint_loader()
    # mmengine collects garbage for every set it opens, and would look through all that is loaded.
    gc.freeze()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep mmengine's start-up chatter (environment, hooks, initial weights) off the terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _record_start(
    runner: Runner,
    cfg: Config,
    folder: Path,
    resume: bool,
    command: Sequence[str],
    extra: dict[str, Any] | None,
) -> None:
    if not is_main_process():
        return
    pair = getattr(bare(runner.model), "pair", None)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    teacher = None
    if pair is not None:
        teacher = {
            "name": pair.teacher_id["checkpoint"],
            "sha256": pair.teacher_id["sha256"] or "random",
        }
    root = cfg.get("data", {}).get("root") or _image_root(cfg)
    start_record(
        folder,
        command=list(command),
        config=config_text(cfg),
        seed=int(runner.seed),
        data={"path": str(root), "checksum": data_checksum(root, _truths(cfg)) if root else None},
        teacher=teacher,
        methods=methods_of(cfg),
        extra={
            "gpus": [gpu] * get_world_size() if gpu else [],
            "threads": torch.get_num_threads(),
            "precision": cfg.get("precision", "fp32"),
            "student": type(getattr(pair, "student", bare(runner.model))).__name__,
            "fast": pair is not None and takes_fast(cfg),
            "steps": runner.max_iters,  # epochs are steps once the set has been read
            **(extra or {}),
        },
        resume=resume,
    )


def _image_root(cfg: Config) -> Path | None:
    """The folder that holds the training images' one, where mmdet's loader is all that names it."""
    dataset = innermost(cfg.get("train_dataloader", {}).get("dataset", {}))
    root, images = dataset.get("data_root") or "", (dataset.get("data_prefix") or {}).get("img")
    return (Path(root) / images).parent if images else Path(root) if root else None


def _truths(cfg: Config) -> list[Path]:
    """The annotation files that mmdet's own loaders name."""
    loaders = (cfg.get("train_dataloader") or {}, cfg.get("val_dataloader") or {})
    sets = [innermost(loader.get("dataset", {})) for loader in loaders]
    return [Path(one.get("data_root") or "") / one["ann_file"] for one in sets if "ann_file" in one]


def _last_validation(folder: Path) -> dict[str, float]:
    """Read from the log, so that resuming a run that is over gives its results again."""
    rows = read_metrics(folder)
    rows = rows[rows["kind"] == "val"] if len(rows) else rows
    if not len(rows):
        return {}
    return rows.iloc[-1].dropna().drop(["step", "kind"]).to_dict()


def methods_of(cfg: Config) -> list[dict] | None:
    """A config's methods with their arguments, each named by its class; None without a teacher."""
    methods = cfg.model.get("methods")
    if methods is None:
        return None
    return [{**method, "type": method["type"].rpartition(".")[2]} for method in methods]
