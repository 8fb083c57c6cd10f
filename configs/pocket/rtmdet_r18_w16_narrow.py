# The pocket RTMDet student with a pyramid and a head of half the teacher's width: 32 channels.
_base_ = "rtmdet_r18_w16.py"
model = dict(neck=dict(out_channels=32), bbox_head=dict(in_channels=32, feat_channels=32))
