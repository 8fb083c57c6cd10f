# mmdet's own Deformable DETR with box refinement at a size that two cores can train: 64 channels,
# two encoder and three decoder layers, 50 queries, no dropout. One stage: mmdet's two-stage form
# works with 256 channels only.
_base_ = "mmdet::deformable_detr/deformable-detr-refine_r50_16xb2-50e_coco.py"
layer = dict(
    self_attn_cfg=dict(embed_dims=64),
    ffn_cfg=dict(embed_dims=64, feedforward_channels=256, ffn_drop=0.0),
)
model = dict(
    num_queries=50,
    neck=dict(norm_cfg=dict(type="GN", num_groups=16)),
    encoder=dict(
        num_layers=2, layer_cfg=dict(layer, self_attn_cfg=dict(embed_dims=64, dropout=0.0))
    ),
    decoder=dict(
        num_layers=3,
        layer_cfg=dict(
            layer,
            self_attn_cfg=dict(embed_dims=64, dropout=0.0),
            cross_attn_cfg=dict(embed_dims=64, dropout=0.0),
        ),
    ),
    positional_encoding=dict(num_feats=32),
    bbox_head=dict(num_classes=10, embed_dims=64),
)
