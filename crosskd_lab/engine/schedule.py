"""Loaders, loops and optimiser of the pocket scale, from a handful of numbers.

``data``: size (longer side, pixels), classes, annotations and images of each split.
``schedule``: steps, batch, lr, warmup, validate_every; optimizer and clip (largest norm of the
gradient) where they are not SGD and 35; shares, what parts of a model (a word of their weights'
names) take of the rate. Milestones follow the paper's 1x schedule: a tenth of the rate after 8/12
and another tenth after 11/12 of the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..configs import innermost
from ..errors import LabError

DATA = ("root", "size", "classes", "train", "val")
SCHEDULE = ("steps", "batch", "lr", "warmup", "validate_every", "optimizer", "clip", "shares")
DECIDED = {
    "train_cfg.max_iters": "schedule.steps",
    "train_cfg.val_interval": "schedule.validate_every",
    "default_hooks.checkpoint.interval": "schedule.validate_every",
    "train_dataloader.batch_size": "schedule.batch",
    "val_dataloader.batch_size": "schedule.batch",
    "optim_wrapper.optimizer.lr": "schedule.lr",
    "optim_wrapper.clip_grad.max_norm": "schedule.clip",
}
"""Numbers of the engine that follow from ours: said in one place, so that rates, records and bars
agree with them."""

AREAS = (20, 40)
"""Sides of the squares, in pixels, that part small, medium and large objects at this scale."""
MOST = 10**9
SGD = dict(type="SGD", momentum=0.9, weight_decay=1e-4)
META = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")


def engine_settings(data: Mapping[str, Any], schedule: Mapping[str, Any], seed: int) -> dict:
    """Everything but the model, in mmengine's words; see the module for ``data`` and ``schedule``.

    LabError for an entry that is unknown, missing, or no number that makes sense.
    """
    _known("data", data, DATA, "size")
    _known("schedule", schedule, SCHEDULE, "steps", "batch", "lr", "warmup", "validate_every")
    steps, batch = whole(schedule, "schedule.steps"), whole(schedule, "schedule.batch")
    every = min(whole(schedule, "schedule.validate_every"), steps)
    warmup = whole(schedule, "schedule.warmup", least=0)
    optimizer, shares = schedule.get("optimizer", SGD), _shares(schedule.get("shares") or {})
    if not isinstance(optimizer, Mapping) or "type" not in optimizer or "lr" in optimizer:
        raise LabError(
            f"schedule.optimizer is {optimizer!r}: give a dict with its type, such as {SGD}; the "
            "rate is schedule.lr"
        )
    if not (clip := number(schedule, "schedule.clip", default=35)):
        raise LabError("schedule.clip is 0, which no gradient passes: leave it out, or say more")
    loader = dict(batch_size=batch, num_workers=0, persistent_workers=False)
    val_loader = dict(
        **loader,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=split_dataset(data, "val", train=False),
    )
    metric = dict(type="BoxAP", annotations=data["val"]["annotations"], areas=AREAS)
    return dict(
        default_scope="mmdet",
        train_dataloader=dict(
            _delete_=True,
            **loader,
            sampler=dict(type="DrawSampler"),
            dataset=dict(type="Draws", seed=seed, dataset=split_dataset(data, "train", train=True)),
        ),
        val_dataloader=dict(_delete_=True, **val_loader),
        test_dataloader=dict(_delete_=True, **val_loader),
        val_evaluator=dict(_delete_=True, **metric),
        test_evaluator=dict(_delete_=True, **metric),
        train_cfg=dict(_delete_=True, type="DrawLoop", max_iters=steps, val_interval=every),
        val_cfg=dict(_delete_=True, type="ValLoop"),
        test_cfg=dict(_delete_=True, type="TestLoop"),
        optim_wrapper=dict(
            _delete_=True,
            type="OptimWrapper",
            optimizer=dict(optimizer, lr=number(schedule, "schedule.lr")),
            clip_grad=dict(max_norm=clip, norm_type=2),
            paramwise_cfg=dict(custom_keys=shares) if shares else None,
        ),
        param_scheduler=_rates(steps, warmup),
        default_hooks=dict(
            _delete_=True,
            timer=dict(type="IterTimerHook"),
            param_scheduler=dict(type="ParamSchedulerHook"),
            checkpoint=dict(
                type="CheckpointHook", by_epoch=False, interval=every, max_keep_ckpts=2
            ),
            sampler_seed=dict(type="DistSamplerSeedHook"),
        ),
        custom_hooks=[dict(type="LossGuard"), dict(type="MethodState"), dict(type="RunMetrics")],
        log_processor=dict(by_epoch=False),
        auto_scale_lr=dict(enable=False, base_batch_size=batch),
    )


def _shares(shares: Any) -> dict[str, dict]:
    """What parts of a model take of the rate, as mmengine has it."""
    if not isinstance(shares, Mapping):
        raise LabError(f"schedule.shares is {shares!r}: give a dict such as {{'neck': 0.1}}")
    found = {}
    for part, share in shares.items():
        last = str(part).rpartition(".")[2]  # a part's name may have dots
        if not isinstance(part, str):
            raise LabError(f"schedule.shares has the part {part!r}: name it, as 'neck'")
        found[part] = dict(lr_mult=number({last: share}, f"schedule.shares.{part}"))
    return found


def _rates(steps: int, warmup: int) -> list[dict]:
    rise = dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0)
    falls = sorted({steps * 8 // 12, steps * 11 // 12} - {0})
    return [
        # one of a single step would never rise
        *([dict(rise, end=min(warmup, steps))] if min(warmup, steps) > 1 else []),
        dict(type="MultiStepLR", by_epoch=False, milestones=falls, gamma=0.1),
    ]


def number(
    numbers: Mapping[str, Any], name: str, least: float = 0, default: float | None = None
) -> Any:
    """An entry such as ``schedule.lr``, from ``least`` to a thousand millions; else LabError."""
    value = numbers.get(name.rpartition(".")[2], default)
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not plain or not least <= value <= MOST:
        raise LabError(f"{name} is {value!r}: give a number from {least} to {MOST:,}")
    return value


def whole(numbers: Mapping[str, Any], name: str, least: int = 1) -> int:
    """An entry such as ``schedule.steps``; LabError if it is not whole: 2.5 is not cut to 2."""
    value = number(numbers, name, least)
    if value != int(value):
        raise LabError(f"{name} is {value!r}: give a whole number")
    return int(value)


def _known(name: str, entry: Any, known: tuple[str, ...], *needed: str) -> None:
    """Refuse an entry that nothing would read, as a misspelt one, and one that lacks a number."""
    if not isinstance(entry, Mapping):
        raise LabError(f"{name} is {entry!r}: give a dict of {', '.join(known)}")
    for key in entry:
        if key not in known:
            raise LabError(f"{name}.{key} is unknown: {name} has {', '.join(known)}")
    for key in needed:
        if key not in entry:
            raise LabError(f"{name} lacks {key}: the config must say {name}.{key}")


def split_dataset(data: Mapping[str, Any], split: str, train: bool) -> dict:
    """The config of one split's set, labelled by the names of ``data["classes"]``.

    ``train`` flips at random and leaves out images without boxes.
    """
    size = whole(data, "data.size", least=32)  # less is nothing at stride 32
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations", with_bbox=True),
        dict(type="Resize", scale=(size, size), keep_ratio=True),
        *([dict(type="RandomFlip", prob=0.5)] if train else []),
        dict(type="PackDetInputs", meta_keys=META),
    ]
    return dict(
        type="NamedSet",
        ann_file=data[split]["annotations"],
        data_prefix=dict(img=data[split]["images"]),
        metainfo=dict(classes=tuple(data["classes"])),
        filter_cfg=dict(filter_empty_gt=True, min_size=1) if train else None,
        test_mode=not train,
        pipeline=pipeline,
    )


def load_boxes_first(dataset: Any) -> None:
    """Let a dataset dict's boxes go where its pixels go: mmdet's tests load them after a resize."""
    first = ("LoadImageFromFile", "LoadAnnotations")
    kinds = {kind: place for place, kind in enumerate(first)}
    pipeline = innermost(dataset)["pipeline"]
    pipeline.sort(key=lambda step: kinds.get(step["type"].rpartition(".")[2], len(kinds)))
