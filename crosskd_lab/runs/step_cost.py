"""Measuring one step of a recipe on this machine: its time, operations and memory."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from ..engine.provenance import machine
from ..engine.train import prepare_engine, quiet, settle
from ..errors import LabError
from .measurement import Measurement, class_count, find_work, image_size, newest, planned_config


class Operations(NamedTuple):
    """Counts of one run.

    Attributes:
        multiply_adds: Of convolutions and matrix products, forward and backward.
        moved: Bytes that operations read and wrote, each operand and result counted once an
            operation; views count nothing. Caches make the traffic to memory less.
        calls: Operations that moved anything.
    """

    multiply_adds: int
    moved: int
    calls: int

    def less(self, other: Operations) -> Operations:
        """What this run did beyond another."""
        return Operations(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


class _Moved(TorchDispatchMode):
    """Adds up the bytes of every operation's operands and results."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            touched = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
            self.bytes += sum(t.numel() * t.element_size() for t in touched)
            self.calls += 1
        return out


def count(run: Callable[[], object]) -> Operations:
    """Run once and count."""
    with FlopCounterMode(display=False) as flops, _Moved() as moved:
        run()
    return Operations(flops.get_total_flops() // 2, moved.bytes, moved.calls)


def kept_bytes(model: Any, batch: dict, weights: Iterable[Tensor]) -> int:
    """Bytes that a forward keeps for its backward, each storage once, ``weights`` left out."""
    known = {p.untyped_storage().data_ptr() for p in weights}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        data = model.data_preprocessor(batch, True)
        losses = model(**data, mode="loss")
    loss, _ = model.parse_losses(losses)
    loss.backward()  # or the taps would keep this graph, and all models' graphs fill the memory
    model.zero_grad(set_to_none=True)
    return sum(kept.values())


def on_gpu() -> bool:
    """Whether steps run on a GPU."""
    return get_device() == "cuda"


def device_name() -> str:
    """The name of the GPU, or of the CPU."""
    return torch.cuda.get_device_name() if on_gpu() else str(machine()["cpu"] or platform.machine())


def _peak(model: Any, batch: dict, optimiser: Any) -> Callable[[], float]:
    torch.cuda.reset_peak_memory_stats()
    return lambda: float(torch.cuda.max_memory_allocated())


def _kept(model: Any, batch: dict, optimiser: Any) -> Callable[[], float]:
    """Counted before the steps, but for the optimiser's state, which comes with them."""
    teacher = getattr(getattr(model, "pair", None), "teacher", None)
    weights = [t for m in (model, teacher) if m is not None for t in _tensors(m)]
    kept = kept_bytes(model, batch, weights) + sum(map(size_of, weights))
    kept += sum(size_of(p) for p in model.parameters() if p.requires_grad)

    def all_of_it() -> float:
        states = [v for state in optimiser.optimizer.state.values() for v in state.values()]
        return float(kept + sum(size_of(v) for v in states if torch.is_tensor(v)))

    return all_of_it


MEMORY = {True: _peak, False: _kept}
"""By whether it is a GPU: begins to count memory; what it gives says how much it came to."""


def _tensors(module: Any) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def size_of(tensor: Tensor) -> int:
    """Bytes of a tensor's elements."""
    return tensor.numel() * tensor.element_size()


WARM_UP, TIMED_STEPS = 2, 5
OBJECTS = 7  # an image: COCO's mean is 7.3


def step_of(
    recipe: str,
    settings: Mapping[str, Any] | None = None,
    data: str | Path | None = None,
    steps: int | None = None,
) -> Measurement:
    """The step of a recipe on this device: as it was measured before, or measured now and kept.

    Args:
        recipe: See :func:`measure`, as for the other arguments.
        settings: Dotted keys and values that replace the config's.
        data: COCO-format folder instead of the config's.
        steps: Measure so many, whatever is kept.
    """
    kept = newest(recipe, settings, device_name()) if steps is None else None
    if kept is not None:
        if data is None:
            return kept
        return replace(kept, work=find_work(planned_config(recipe, settings, data)))
    count = TIMED_STEPS if steps is None else steps
    with tqdm(total=WARM_UP + count, desc="measuring", leave=False, disable=None) as bar:
        measured = measure(recipe, settings, data, count, told=bar.update)
    measured.write()
    return measured


def measure(
    recipe: str,
    settings: Mapping[str, Any] | None = None,
    data: str | Path | None = None,
    steps: int = TIMED_STEPS,
    given: float | None = None,
    told: Callable[[], object] = lambda: None,
) -> Measurement:
    """Time forward, backward and optimiser at the recipe's batch a GPU and image size.

    Student and teacher have random weights: it is the time that counts.

    Args:
        recipe: ``paper/...``, ``pocket/...`` or a file.
        settings: Dotted keys and values that replace the config's.
        data: COCO-format folder instead of the config's; for the number of its images only.
        steps: To measure, after two to warm up.
        given: Seconds of a step that was measured elsewhere; then none is made here.
        told: Called after every step.

    Raises:
        LabError: for what :func:`crosskd_lab.engine.config.load_experiment` refuses, and where the
            length of an epoch cannot be known.
    """
    if steps < 1 or (given is not None and not given > 0):
        raise LabError("--steps must be at least 1, and --step-ms more than 0")
    prepare_engine()
    cfg = planned_config(recipe, settings, data)
    work, model = find_work(cfg), build_model(cfg)
    facts: dict[str, Any] = dict(
        recipe=recipe,
        work=work,
        gradient=sum(size_of(p) for p in model.parameters() if p.requires_grad),
        size=image_size(cfg),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        settings=dict(settings or {}),
    )
    if given is not None:
        return Measurement(
            **facts,
            step=given,
            backward=None,
            memory=float("nan"),
            memory_is="unknown",
            device="elsewhere",
            gpu=True,
            steps=0,
        )
    settle(model).train()
    height, width = facts["size"]
    batch = made_up_batch(work.batch, height, width, class_count(cfg))
    with quiet(), DefaultScope.overwrite_default_scope("mmdet"):
        optimiser = build_optim_wrapper(model, cfg.optim_wrapper)
    try:
        memory = MEMORY[on_gpu()](model, batch, optimiser)
        every = [timed_step(model, batch, optimiser, told) for _ in range(WARM_UP + steps)]
    except torch.OutOfMemoryError as error:
        raise LabError(
            f"{recipe} does not fit this GPU with {work.batch} images: plan fewer, such as "
            "--set schedule.batch=1 (train_dataloader.batch_size=1 for the paper's), or measure "
            "on a larger one"
        ) from error
    times = every[WARM_UP:]
    return Measurement(
        **facts,
        step=statistics.median(sum(parts) for parts in times),
        backward=statistics.median(parts[1] for parts in times),
        memory=memory(),
        memory_is="peak" if on_gpu() else "kept",
        device=device_name(),
        gpu=on_gpu(),
        steps=steps,
    )


def build_model(cfg: Config) -> Any:
    """The model of a completed config, every weight at random."""
    model = without_downloads(cfg.model)
    with quiet(), DefaultScope.overwrite_default_scope("mmdet"):
        built = MODELS.build(model)
        built.init_weights()
    return built


def without_downloads(model: Any) -> Any:
    """A model dict whose parts no longer name checkpoints to start from."""
    if isinstance(model, Mapping):
        kept = ConfigDict({key: without_downloads(value) for key, value in model.items()})
        if "checkpoint" in (kept.get("init_cfg") or {}):
            kept.init_cfg = None
        return kept
    return [without_downloads(part) for part in model] if isinstance(model, list) else model


def made_up_batch(count: int, height: int, width: int, classes: int) -> dict[str, Any]:
    """A raw batch as mmdet's pipeline hands it over: noise, with seven boxes an image.

    Args:
        count: Images.
        height: In pixels.
        width: In pixels.
        classes: Labels are drawn from so many.
    """
    generator = torch.Generator().manual_seed(0)
    sides = torch.tensor([width, height, width, height])
    shape = dict(img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0))
    images, samples = [], []
    for _ in range(count):
        near = 0.6 * torch.rand(OBJECTS, 2, generator=generator)
        far = near + 0.05 + 0.35 * torch.rand(OBJECTS, 2, generator=generator)
        labels = torch.randint(classes, (OBJECTS,), generator=generator)
        sample = DetDataSample(metainfo=dict(shape))
        sample.gt_instances = InstanceData(bboxes=torch.cat([near, far], 1) * sides, labels=labels)
        samples.append(sample)
        noise = torch.randint(256, (3, height, width), dtype=torch.uint8, generator=generator)
        images.append(noise)
    return {"inputs": images, "data_samples": samples}


def timed_step(
    model: Any, batch: dict, optimiser: Any, told: Callable[[], object] = lambda: None
) -> tuple[float, float, float]:
    """Seconds of a step's forward, backward and optimiser."""
    marks = [_now()]
    with optimiser.optim_context(model):
        data = getattr(model, "module", model).data_preprocessor(batch, True)
        losses = model(**data, mode="loss")
        loss, _ = getattr(model, "module", model).parse_losses(losses)
    marks.append(_now())
    optimiser.backward(loss)
    marks.append(_now())
    optimiser.step()
    optimiser.zero_grad()
    marks.append(_now())
    told()
    forward, backward, rest = (b - a for a, b in zip(marks, marks[1:], strict=False))
    return forward, backward, rest


def _now() -> float:
    if on_gpu():
        torch.cuda.synchronize()
    return time.perf_counter()
