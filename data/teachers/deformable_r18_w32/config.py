data = dict(
    classes=[
        'disc',
        'ring',
        'square',
        'frame',
        'triangle',
        'star',
        'cross',
        'crescent',
        'hexagon',
        'arrow',
    ],
    root='data/teacher_scenes',
    size=160)
default_scope = 'mmdet'
model = dict(
    _scope_='mmdet',
    as_two_stage=False,
    backbone=dict(
        base_channels=32,
        depth=18,
        frozen_stages=-1,
        init_cfg=dict(
            checkpoint='data/backbones/r18_w32.safetensors',
            type='WholeBackbone'),
        norm_cfg=dict(requires_grad=True, type='BN'),
        norm_eval=False,
        num_stages=4,
        out_indices=(
            1,
            2,
            3,
        ),
        style='pytorch',
        type='ResNet'),
    bbox_head=dict(
        embed_dims=64,
        loss_bbox=dict(loss_weight=5.0, type='L1Loss'),
        loss_cls=dict(
            alpha=0.25,
            gamma=2.0,
            loss_weight=2.0,
            type='FocalLoss',
            use_sigmoid=True),
        loss_iou=dict(loss_weight=2.0, type='GIoULoss'),
        num_classes=10,
        sync_cls_avg_factor=True,
        type='DeformableDETRHead'),
    data_preprocessor=dict(
        bgr_to_rgb=True,
        mean=[
            123.675,
            116.28,
            103.53,
        ],
        pad_size_divisor=32,
        std=[
            58.395,
            57.12,
            57.375,
        ],
        type='DetDataPreprocessor'),
    decoder=dict(
        layer_cfg=dict(
            cross_attn_cfg=dict(batch_first=True, dropout=0.0, embed_dims=64),
            ffn_cfg=dict(
                embed_dims=64, feedforward_channels=256, ffn_drop=0.0),
            self_attn_cfg=dict(
                batch_first=True, dropout=0.0, embed_dims=64, num_heads=8)),
        num_layers=3,
        post_norm_cfg=None,
        return_intermediate=True),
    encoder=dict(
        layer_cfg=dict(
            ffn_cfg=dict(
                embed_dims=64, feedforward_channels=256, ffn_drop=0.0),
            self_attn_cfg=dict(batch_first=True, dropout=0.0, embed_dims=64)),
        num_layers=2),
    neck=dict(
        act_cfg=None,
        in_channels=[
            64,
            128,
            256,
        ],
        kernel_size=1,
        norm_cfg=dict(num_groups=16, type='GN'),
        num_outs=4,
        out_channels=64,
        type='ChannelMapper'),
    num_feature_levels=4,
    num_queries=50,
    positional_encoding=dict(normalize=True, num_feats=32, offset=-0.5),
    test_cfg=dict(max_per_img=100),
    train_cfg=dict(
        assigner=dict(
            match_costs=[
                dict(type='FocalLossCost', weight=2.0),
                dict(box_format='xywh', type='BBoxL1Cost', weight=5.0),
                dict(iou_mode='giou', type='IoUCost', weight=2.0),
            ],
            type='HungarianAssigner')),
    type='DeformableDETR',
    with_box_refine=True)
schedule = dict(
    batch=16,
    clip=0.1,
    lr=0.0004,
    optimizer=dict(type='AdamW', weight_decay=0.0001),
    steps=1600,
    validate_every=400,
    warmup=200)
