"""Table 8: RetinaNet, Swin-T to R50, PKD."""

from crosskd_lab.methods import PKD

paper = dict(table=8, row=3)
student = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
teacher = dict(
    config="mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py",
    checkpoint="retinanet_swin_t",
)
methods = [dict(type=PKD)]

# This teacher is in no public zoo: train it with
#   crosskd-lab launch mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py --gpus 8
# and write it:
#   crosskd-lab export RUN --out data/teachers/retinanet_swin_t.safetensors
