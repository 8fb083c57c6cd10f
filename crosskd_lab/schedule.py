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

SGD = dict(type="SGD", momentum=0.9, weight_decay=1e-4)
META = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")


def engine_settings(data: Mapping[str, Any], schedule: Mapping[str, Any], seed: int) -> dict:
    """Everything but the model, in mmengine's words.

    Args:
        data: size in pixels, classes; train and val, each with annotations and images.
        schedule: steps, batch (images a step), lr (at that batch), warmup (steps),
            validate_every (steps).
        seed: Decides order and augmentation.
    """
    steps, batch = int(schedule["steps"]), int(schedule["batch"])
    every = min(int(schedule["validate_every"]), steps)
    shares = {part: dict(lr_mult=share) for part, share in schedule.get("shares", {}).items()}
    loader = dict(batch_size=batch, num_workers=0, persistent_workers=False)
    val_loader = dict(
        **loader,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=split_dataset(data, "val", train=False),
    )
    metric = dict(
        type="BoxAP", annotations=data["val"]["annotations"], areas=data.get("areas", (20, 40))
    )
    return dict(
        default_scope="mmdet",
        custom_imports=dict(imports=["crosskd_lab.training"], allow_failed_imports=False),
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
            optimizer=dict(schedule.get("optimizer", SGD), lr=schedule["lr"]),
            clip_grad=dict(max_norm=schedule.get("clip", 35), norm_type=2),
            paramwise_cfg=dict(custom_keys=shares) if shares else None,
        ),
        param_scheduler=_rates(steps, int(schedule["warmup"])),
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


def _rates(steps: int, warmup: int) -> list[dict]:
    return [
        dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=min(warmup, steps)),
        dict(
            type="MultiStepLR",
            by_epoch=False,
            milestones=[steps * 8 // 12, steps * 11 // 12],
            gamma=0.1,
        ),
    ]


def split_dataset(data: Mapping[str, Any], split: str, train: bool) -> dict:
    """The config of one split's set, labelled by the names of ``data["classes"]``.

    Args:
        data: size, classes, and ``data[split]`` with annotations and images.
        split: Its name.
        train: Flip at random and leave out images without boxes.
    """
    size = int(data["size"])
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
