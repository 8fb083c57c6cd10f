# The pocket YOLOX student with a pyramid and a head of three quarters of the teacher's width.
_base_ = "yolox_r18_w16.py"
model = dict(neck=dict(out_channels=48), bbox_head=dict(in_channels=48, feat_channels=48))
