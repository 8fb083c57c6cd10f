# What all pocket detectors share: mmdet's own GFL config, narrowed until two cores can train it.
# Batch 16, 160-pixel scenes; crosskd_lab.experiment turns `data` and `schedule` into the engine's
# loaders, loops and optimiser, so that one number changes the whole schedule.
_base_ = "mmdet::gfl/gfl_r50_fpn_1x_coco.py"

data = dict(root="data/scenes", size=160)
schedule = dict(steps=1500, batch=16, lr=0.02, warmup=200, validate_every=500)

width = 16
channels = 64
norm = dict(type="BN", requires_grad=True)
model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(
        _delete_=True,
        type="ResNet",
        depth=18,
        base_channels=width,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=norm,
        norm_eval=False,
        style="pytorch",
    ),
    neck=dict(in_channels=[width, 2 * width, 4 * width, 8 * width], out_channels=channels),
    bbox_head=dict(
        num_classes=10,
        in_channels=channels,
        feat_channels=channels,
        norm_cfg=dict(type="GN", num_groups=16, requires_grad=True),
        anchor_generator=dict(octave_base_scale=4),
    ),
)
