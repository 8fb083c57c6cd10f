"""A step measured, what recipes ask for, and plans against sums done by hand."""

import json

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from torch import nn

from crosskd_lab.errors import LabError
from crosskd_lab.runs import forecast
from crosskd_lab.runs.forecast import (
    Measurement,
    Work,
    exposed_seconds,
    find_work,
    image_size,
    measure,
    outlook,
    planned_config,
    ring_seconds,
)

TINY = {"data.size": 64, "schedule.batch": 2}


def test_the_length_of_a_run_as_mmdets_logs_have_it():
    """COCO's 117,266 images with boxes, by 16, are the 7,330 steps an epoch of every 1x log."""
    work = Work(batch=2, rate=0.01, base_batch=16, images=117_266, epochs=12)
    assert work.length(8) == 12 * 7330
    assert (work.rate_at(8), work.rate_at(1), work.rate_at(64)) == (0.01, 0.00125, 0.08)


def test_a_recipe_that_counts_steps_keeps_them():
    work = Work(batch=16, rate=0.02, steps=1500)
    assert [work.length(n) for n in (1, 8)] == [1500, 1500]
    assert work.rate_at(8) == 0.02


G, B = 1e9, 1e10  # bytes of gradients; bytes a second


def test_a_ring():
    # 2 * 3/4 * 0.1 s on the wire; one bucket of 1 MiB and forty of 25, a millisecond each
    assert ring_seconds(G, 4, B, latency=1e-3) == pytest.approx(0.15 + 0.04, abs=0.001)
    assert ring_seconds(G, 1, B) == 0, "one GPU tells nobody"
    assert ring_seconds(G, 10**6, B, latency=0) == pytest.approx(2 * G / B, rel=1e-5)


@pytest.mark.parametrize(
    ("mebibytes", "buckets"), [(0.5, 1), (1, 1), (1.5, 2), (26, 2), (26.5, 3), (126, 6)]
)
def test_buckets_are_a_small_one_and_then_25_mebibytes_each(mebibytes, buckets):
    assert ring_seconds(mebibytes * 2**20, 2, float("inf"), latency=1) == buckets


def test_a_backward_hides_its_share_and_no_more_than_itself():
    assert exposed_seconds(0.16, backward=1, overlap=0.5) == pytest.approx(0.08)
    assert exposed_seconds(0.16, backward=1, overlap=0) == 0.16
    assert exposed_seconds(0.16, backward=0.06, overlap=1) == pytest.approx(0.10)


ON_GPU = Measurement(
    Work(batch=2, rate=0.01, base_batch=16, images=117_266, epochs=12),
    **dict(step=0.2, backward=0.12, gradient=1_000_000_000, memory=8_000_000_000),
    **dict(size=(800, 1088), device="Round GPU"),
)


def test_hours_efficiency_memory_and_cost():
    frame = outlook(ON_GPU, bandwidth=1e10, price=2.0).set_index("gpus")
    assert list(frame.index) == [1, 2, 4, 8, 16, 32, 64]
    one, four = frame.loc[1], frame.loc[4]
    assert one["seconds"] == 0.2 and one["efficiency"] == 1
    assert one["hours"] == pytest.approx(12 * 58_633 * 0.2 / 3600)
    # 0.15 s on the wire and 40 buckets of 0.1 ms, half of it hidden; four times as many images
    assert four["seconds"] == pytest.approx(0.277)
    assert four["efficiency"] == pytest.approx(0.2 / 0.277)
    assert four["steps"] == 12 * 14_659 and four["images"] == 8
    assert four["hours"] == pytest.approx(12 * 14_659 * 0.277 / 3600)
    assert four["gpu_hours"] == pytest.approx(4 * four["hours"])
    assert four["cost"] == pytest.approx(2 * four["gpu_hours"])
    assert (frame.loc[8, "rate"], frame.loc[64, "rate"]) == (0.01, 0.08)
    assert frame["memory"].tolist() == [8e9] + [9e9] * 6, "the buckets hold the gradients again"


def test_a_ring_is_as_fast_as_its_slowest_link():
    frame = outlook(ON_GPU, gpus=[8, 16])
    # 20e9 bytes a second in a machine; 5e9 between two, of which the backward hides its 0.12 s
    eight, sixteen = 2 * 7 / 8 * 0.05 + 0.004, 2 * 15 / 16 * 0.2 + 0.004
    assert frame["seconds"].tolist() == pytest.approx([0.2 + eight / 2, 0.2 + sixteen - 0.12])
    assert "cost" not in frame


@pytest.mark.parametrize(
    ("recipe", "work", "size"),
    [
        # COCO's 4 to 3 within 1333 x 800 is 1067 x 800, padded to multiples of 32
        ("table6_atss_crosskd", Work(8, 0.01, 16, images=117_266, epochs=12), (800, 1088)),
        ("beyond_deformable_crosskd", Work(2, 2e-4, 32, images=117_266, epochs=50), (800, 1067)),
    ],
)
def test_a_recipe_of_the_paper(recipe, work, size):
    cfg = planned_config(f"paper/{recipe}")
    assert (find_work(cfg), image_size(cfg)) == (work, size)


def test_a_pocket_recipe(scenes_dir):
    cfg = planned_config("pocket/crosskd", {"data.size": 100, "schedule.steps": 7}, scenes_dir)
    assert find_work(cfg) == Work(16, 0.02, 16, steps=7)
    assert image_size(cfg) == (128, 128), "square scenes, padded to a multiple of 32"


def test_an_epoch_is_as_long_as_the_images_that_have_boxes(tmp_path):
    images = [dict(id=i, file_name=f"{i}.jpg", height=64, width=64) for i in range(5)]
    boxes = [
        dict(id=i, image_id=i, category_id=1, bbox=[1, 1, 9, 9], area=81, iscrowd=0)
        for i in range(3)
    ]
    text = dict(images=images, annotations=boxes, categories=[dict(id=1, name="person")])
    (tmp_path / "some.json").write_text(json.dumps(text))
    cfg = planned_config("paper/table1_none")
    dataset = dict(
        type="CocoDataset",
        data_root=f"{tmp_path}/",
        ann_file="some.json",
        data_prefix=dict(img=""),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[],
    )

    def images_of(dataset):
        cfg.train_dataloader.dataset = dataset
        return find_work(cfg).images

    assert images_of(dataset) == 3
    assert images_of(dict(type="RepeatDataset", times=2, dataset=dataset)) == 6
    with pytest.raises(LabError, match=r"there is no .*gone\.json.* name the set with --data"):
        images_of({**dataset, "ann_file": "gone.json"})
    assert images_of({**dataset, "ann_file": "annotations/instances_train2017.json"}) == 117_266


def test_a_pipeline_without_a_scale_is_refused():
    cfg = Config(dict(train_dataloader=dict(dataset=dict(pipeline=[])), model=dict()))
    with pytest.raises(LabError, match="names no scale"):
        image_size(cfg)


class Product(nn.Module):
    """The sum of inputs times weights."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6))
        self.data_preprocessor = lambda batch, training: batch

    def forward(self, inputs, mode):
        return {"loss": inputs * self.weight}

    def parse_losses(self, losses):
        return losses["loss"].sum(), {}


def test_a_whole_step_is_timed_and_its_backward_apart(monkeypatch):
    clock = iter((10.0, 13.0, 19.0, 21.0))  # begun, forward, backward and optimiser over
    monkeypatch.setattr(forecast, "_now", lambda: next(clock))
    model = Product()
    optimiser = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    assert forecast.timed_step(model, {"inputs": torch.ones(6)}, optimiser) == (11, 6)
    assert torch.allclose(model.weight, torch.full((6,), 0.9)), "it is a real step"


def test_made_up_batches_have_boxes_inside():
    batch = forecast.made_up_batch(2, 40, 60, classes=3)
    assert [tuple(image.shape) for image in batch["inputs"]] == [(3, 40, 60)] * 2
    for sample in batch["data_samples"]:
        boxes, labels = sample.gt_instances.bboxes, sample.gt_instances.labels
        assert len(boxes) == 7 and labels.max() < 3
        assert (boxes[:, 2:] > boxes[:, :2]).all() and (boxes >= 0).all()
        assert (boxes <= torch.tensor([60, 40, 60, 40])).all()


def test_no_part_of_a_model_names_a_file_to_start_from(monkeypatch):
    def never(*words, **more):
        raise AssertionError("a download was tried")

    monkeypatch.setattr("torch.hub.download_url_to_file", never)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", never)
    cfg = planned_config("paper/beyond_faster_crosskd", {"train_dataloader.batch_size": 1})
    assert "checkpoint" in cfg.model.student.backbone.init_cfg
    model, _, batch = forecast.ready_to_step(cfg)
    assert model.pair.teacher_id["checkpoint"] == "random"
    # R18 with FPN, RPN and two fully connected layers, as mmdet's own
    assert 28e6 < sum(p.numel() for p in model.parameters()) < 29e6
    assert [tuple(image.shape) for image in batch["inputs"]] == [(3, 800, 1088)]


def test_a_step_of_a_distiller_in_the_form_that_would_train(scenes_dir, monkeypatch):
    forms = []
    monkeypatch.setattr(forecast, "choose_form", lambda model, cfg: forms.append(cfg.precision))
    step = measure("pocket/crosskd", {**TINY, "precision": "bf16"}, scenes_dir, 1)
    assert forms == ["bf16"]
    assert 0 < step.backward < step.step
    assert step.gradient == 4 * 1_242_211 and step.size == (64, 64) and step.work.batch == 2
    assert (step.memory is None) == (not torch.cuda.is_available())
