# The pocket Deformable DETR student: a quarter of ResNet-18's width.
_base_ = ["parts/deformable.py", "parts/w16.py"]
model = dict(
    data_preprocessor=_base_.body.preprocessor,
    backbone=dict(_base_.body.backbone, out_indices=(1, 2, 3)),
    neck=dict(out_channels=64, in_channels=_base_.body.neck.in_channels[1:]),
)
# As the detector is always trained: Adam, small steps, short gradients, and a tenth of the rate for
# what begins pretrained or says where to look.
schedule = dict(
    lr=4e-4,
    clip=0.1,
    optimizer=dict(type="AdamW", weight_decay=1e-4),
    shares=dict(backbone=0.1, sampling_offsets=0.1, reference_points=0.1),
)
