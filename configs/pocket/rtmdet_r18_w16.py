# The pocket RTMDet student: a quarter of ResNet-18's width.
_base_ = ["parts/rtmdet.py", "parts/w16.py"]
model = dict(
    data_preprocessor=_base_.body.preprocessor,
    backbone=_base_.body.backbone,
    neck=_base_.body.neck,
)
