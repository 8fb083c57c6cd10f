# What all pocket detectors share, whatever their head: images, schedule, and a ResNet-18 with FPN
# that two cores can train. Batch 16, 160-pixel scenes; crosskd_lab.engine.config turns `data` and
# `schedule` into the engine's loaders, loops and optimiser, so that one number changes it all.
data = dict(root="data/scenes", size=160)
schedule = dict(steps=1500, batch=16, lr=0.02, warmup=200, validate_every=500)

body = dict(
    preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type="ResNet",
        depth=18,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=False,
        style="pytorch",
    ),
    neck=dict(out_channels=64),
)
