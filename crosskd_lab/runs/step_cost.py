"""One step of a recipe, measured on this machine: its time and memory."""

import io
import platform
import statistics
import time
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor
from tqdm import trange

from ..configs import RANDOM, innermost, read_config, scorers
from ..engine.config import load_experiment
from ..engine.provenance import machine, now
from ..engine.train import choose_form, prepare_engine, quiet, settle
from ..errors import LabError
from .forecast import COCO_IMAGES, Measurement, Work, newest

WARM_UP, TIMED_STEPS = 2, 5
OBJECTS = 7  # an image: COCO's mean is 7.3


def planned_config(
    recipe: str, settings: Mapping[str, Any] | None, data: str | Path | None
) -> Config:
    """The completed config, its teacher an untrained one: none has to be on this machine."""
    changed = dict(settings or {})
    if "teacher" in read_config(recipe):
        changed["teacher.checkpoint"] = RANDOM
    return load_experiment(recipe, changed, data)


def find_work(cfg: Config) -> Work:
    """What a completed config asks for; LabError as :func:`count_images`."""
    loader, loop = cfg.train_dataloader, cfg.train_cfg
    facts: dict[str, Any] = dict(
        batch=int(loader.batch_size),
        rate=float(cfg.optim_wrapper.optimizer.lr),
        base_batch=cfg.get("auto_scale_lr", {}).get("base_batch_size"),
    )
    if loop.get("max_iters"):
        return Work(**facts, steps=int(loop.max_iters))
    return Work(**facts, epochs=int(loop.max_epochs), images=count_images(loader.dataset))


def count_images(dataset: Mapping[str, Any]) -> int:
    """Images of a training set's config that have something to learn from.

    LabError where its annotations are not here, and it is not COCO.
    """
    inner = innermost(dataset)
    file = Path(inner.get("data_root") or "") / inner["ann_file"]
    if file.is_file():
        with quiet(), redirect_stdout(io.StringIO()), DefaultScope.overwrite_default_scope("mmdet"):
            return len(DATASETS.build(dict(dataset)))
    if file.name == "instances_train2017.json":
        return COCO_IMAGES
    raise LabError(
        f"there is no {file}, so the length of an epoch is not known: name the set with --data"
    )


def image_size(cfg: Config) -> tuple[int, int]:
    """Height and width in pixels of a planned image: 4 to 3, as large as the recipe's scale allows.

    A square scale gives a square; both sides are padded as the recipe pads them.
    """
    scales = _scales(cfg.train_dataloader)
    if not scales:
        raise LabError("the recipe's pipeline names no scale, so the size of its images is unknown")
    short, long = max(sorted(scale) for scale in scales)
    if short != long:
        factor = min(long / 4, short / 3)
        short, long = round(3 * factor), round(4 * factor)
    student = cfg.model.get("student", cfg.model)
    pad = int((student.get("data_preprocessor") or {}).get("pad_size_divisor") or 1)
    height, width = (-(-side // pad) * pad for side in (short, long))
    return height, width


def class_count(cfg: Config) -> int:
    """Classes that the student scores, the background left out."""
    return int(scorers(cfg.model.get("student", cfg.model))[0].num_classes)


def _scales(node: Any) -> list[tuple[int, int]]:
    """Every (width, height) that a pipeline may resize to."""
    if isinstance(node, Mapping):
        own = [node[key] for key in ("scale", "scales") if key in node]
        found = [s for s in own for s in (s if isinstance(s, list) else [s])]
        inner = [value for key, value in node.items() if key not in ("scale", "scales")]
        return [tuple(s) for s in found if isinstance(s, (tuple, list))] + _scales(inner)
    return [s for part in node for s in _scales(part)] if isinstance(node, (list, tuple)) else []


def step_of(
    recipe: str,
    settings: Mapping[str, Any] | None = None,
    data: str | Path | None = None,
    steps: int | None = None,
) -> Measurement:
    """The step of a recipe on this device: as it was measured before, or measured now and kept.

    ``steps`` measures so many, whatever is kept. See :func:`measure` for the rest.
    """
    kept = newest(recipe, settings, device_name()) if steps is None else None
    if kept is not None:
        if data is None and not kept.work.images:  # steps are its schedule's
            return kept
        return replace(kept, work=find_work(planned_config(recipe, settings, data)))
    measured = measure(recipe, settings, data, TIMED_STEPS if steps is None else steps)
    measured.write()
    return measured


def measure(
    recipe: str,
    settings: Mapping[str, Any] | None = None,
    data: str | Path | None = None,
    steps: int = TIMED_STEPS,
    given: float | None = None,
) -> Measurement:
    """Time forward, backward and optimiser at the recipe's batch a GPU and image size.

    Student and teacher have random weights: it is the time that counts. ``data`` is a COCO-format
    folder for the number of its images only; ``steps`` are measured after two to warm up, none
    where the seconds of a step are ``given``. LabError for what
    :func:`crosskd_lab.engine.config.load_experiment` refuses, and where the length of an epoch
    cannot be known.
    """
    if steps < 1 or (given is not None and not 0 < given < float("inf")):
        raise LabError("--steps must be at least 1, and --step-ms more than 0, and finite")
    prepare_engine()
    cfg = planned_config(recipe, settings, data)
    work, model = find_work(cfg), build_model(cfg)
    facts: dict[str, Any] = dict(
        recipe=recipe,
        work=work,
        gradient=sum(p.nbytes for p in _trained(model)),
        size=image_size(cfg),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        date=now(),
        settings=dict(settings or {}),
    )
    if given is not None:
        facts |= dict(step=given, backward=None, memory=float("nan"), memory_is="unknown")
        return Measurement(**facts, device="elsewhere", gpu=True, steps=0)
    settle(model).train()
    choose_form(model, cfg)
    height, width = facts["size"]
    batch = made_up_batch(work.batch, height, width, class_count(cfg))
    with quiet(), DefaultScope.overwrite_default_scope("mmdet"):
        optimiser = build_optim_wrapper(model, cfg.optim_wrapper)
    if on_gpu():
        torch.cuda.reset_peak_memory_stats()
    try:
        kept = 0 if on_gpu() else resident_bytes(model, batch)
        with trange(WARM_UP + steps, desc="measuring", leave=False, disable=None) as turns:
            every = [timed_step(model, batch, optimiser) for _ in turns]
    except torch.OutOfMemoryError as error:
        raise LabError(
            f"{recipe} does not fit this GPU with {work.batch} images: plan fewer, such as "
            "--set schedule.batch=1 (train_dataloader.batch_size=1 for the paper's), or measure "
            "on a larger one"
        ) from error
    times = every[WARM_UP:]
    return Measurement(
        **facts,
        step=statistics.median(map(sum, times)),
        backward=statistics.median(backward for _, backward, _ in times),
        memory=float(
            torch.cuda.max_memory_allocated() if on_gpu() else kept + state_bytes(optimiser)
        ),
        memory_is="peak" if on_gpu() else "kept",
        device=device_name(),
        gpu=on_gpu(),
        steps=steps,
    )


def on_gpu() -> bool:
    """Whether steps run on a GPU."""
    return get_device() == "cuda"


def device_name() -> str:
    """The name of the GPU, or of the CPU."""
    return torch.cuda.get_device_name() if on_gpu() else str(machine()["cpu"] or platform.machine())


def _trained(model: Any) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]


def resident_bytes(model: Any, batch: dict) -> int:
    """Bytes of weights, gradients and what a forward keeps: a step's memory on a CPU, but for the
    optimiser's state, which comes with the steps."""
    teacher = getattr(getattr(model, "pair", None), "teacher", None)
    parts = [model] if teacher is None else [model, teacher]
    weights = [t for part in parts for t in (*part.parameters(), *part.buffers())]
    return kept_bytes(model, batch, weights) + sum(t.nbytes for t in [*weights, *_trained(model)])


def state_bytes(optimiser: Any) -> int:
    """Bytes of what an optimiser has learned by now, such as momentum."""
    states = [value for state in optimiser.optimizer.state.values() for value in state.values()]
    return sum(value.nbytes for value in states if torch.is_tensor(value))


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


def build_model(cfg: Config) -> Any:
    """The model of a completed config, every weight at random and no checkpoint read."""
    with quiet(), DefaultScope.overwrite_default_scope("mmdet"):
        built = MODELS.build(_without_downloads(cfg.model))
        built.init_weights()
    return built


def _without_downloads(model: Any) -> Any:
    if isinstance(model, Mapping):
        kept = ConfigDict({key: _without_downloads(value) for key, value in model.items()})
        if "checkpoint" in (kept.get("init_cfg") or {}):
            kept.init_cfg = None
        return kept
    return [_without_downloads(part) for part in model] if isinstance(model, list) else model


def made_up_batch(count: int, height: int, width: int, classes: int) -> dict[str, Any]:
    """A raw batch as mmdet's pipeline hands it over: ``count`` images of noise, with seven boxes
    each whose labels are drawn from ``classes``; height and width in pixels."""
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


def timed_step(model: Any, batch: dict, optimiser: Any) -> tuple[float, float, float]:
    """Seconds of a step's forward, backward and optimiser."""
    bare = getattr(model, "module", model)
    marks = [_now()]
    with optimiser.optim_context(model):
        losses = model(**bare.data_preprocessor(batch, True), mode="loss")
        loss, _ = bare.parse_losses(losses)
    marks.append(_now())
    optimiser.backward(loss)
    marks.append(_now())
    optimiser.step()
    optimiser.zero_grad()
    marks.append(_now())
    return marks[1] - marks[0], marks[2] - marks[1], marks[3] - marks[2]


def _now() -> float:
    if on_gpu():
        torch.cuda.synchronize()
    return time.perf_counter()
