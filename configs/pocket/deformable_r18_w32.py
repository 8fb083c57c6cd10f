# The pocket Deformable DETR teacher: half of ResNet-18's width.
_base_ = ["parts/deformable.py", "parts/w32.py"]
model = dict(
    data_preprocessor=_base_.body.preprocessor,
    backbone=dict(_base_.body.backbone, out_indices=(1, 2, 3)),
    neck=dict(out_channels=64, in_channels=_base_.body.neck.in_channels[1:]),
)
# As the shipped teacher was trained: Adam, small steps, short gradients; the recipe's tenth of the
# rate for the backbone is missing.
schedule = dict(lr=4e-4, clip=0.1, optimizer=dict(type="AdamW", weight_decay=1e-4))
