"""Table 6: atss R101 to R50, CrossKD."""

from crosskd_lab.methods import CrossKD

paper = dict(table=6, row=9)
student = "mmdet::atss/atss_r50_fpn_1x_coco.py"
teacher = dict(
    config="mmdet::atss/atss_r101_fpn_1x_coco.py",
    checkpoint="atss_r101",
)
methods = [dict(type=CrossKD)]

# Eight images a GPU instead of two; the rate follows the batch.
settings = {"train_dataloader.batch_size": 8}
