"""A step measured: nothing is downloaded, all of it is timed, memory is counted to the byte."""

import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from crosskd_lab.engine.train import prepare_engine
from crosskd_lab.errors import LabError
from crosskd_lab.runs import forecast
from crosskd_lab.runs import step_cost as stopwatch
from crosskd_lab.runs.step_cost import (
    find_work,
    kept_bytes,
    planned_config,
    resident_bytes,
    state_bytes,
)

TINY = {"data.size": 64, "schedule.batch": 2}


class Slow(nn.Module):
    """Thirty milliseconds forward, sixty backward; 24 bytes of weights, and known bytes kept."""

    class Sleep(torch.autograd.Function):
        """Takes its time in both directions."""

        @staticmethod
        def forward(ctx, x):
            time.sleep(0.03)
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            time.sleep(0.06)
            return gradient

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6))
        self.data_preprocessor = lambda batch, training: batch

    def forward(self, inputs, mode):
        return {"loss": self.Sleep.apply(inputs * self.weight)}

    def parse_losses(self, losses):
        return losses["loss"].sum(), {}


class Optimiser:
    """A real one, twenty milliseconds late."""

    def __init__(self, model):
        from mmengine.optim import OptimWrapper

        self.real = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
        self.backward, self.optim_context = self.real.backward, self.real.optim_context
        self.zero_grad = self.real.zero_grad

    def step(self):
        time.sleep(0.02)
        self.real.step()


def test_forward_backward_and_optimiser_are_told_apart():
    model = Slow()
    batch = {"inputs": torch.ones(6)}
    forward, backward, rest = stopwatch.timed_step(model, batch, Optimiser(model))
    assert 0.03 <= forward < backward and backward >= 0.06 and 0.02 <= rest < backward
    assert torch.allclose(model.weight, torch.full((6,), 0.9)), "it is a real step"


def test_made_up_batches_have_boxes_inside():
    batch = stopwatch.made_up_batch(2, 40, 60, classes=3)
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
    prepare_engine()
    cfg = planned_config("paper/beyond_faster_crosskd", None, None)
    assert "checkpoint" in cfg.model.student.backbone.init_cfg
    model = stopwatch.build_model(cfg)
    assert model.pair.teacher_id["checkpoint"] == "random"
    # R18 with FPN, RPN and two fully connected layers, as mmdet's own
    assert 28e6 < sum(p.numel() for p in model.parameters()) < 29e6


def test_a_step_of_a_distiller(scenes_dir):
    alone = stopwatch.measure("pocket/none", TINY, scenes_dir, 1)
    taught = stopwatch.measure("pocket/crosskd", TINY, scenes_dir, 1)
    assert 0 < taught.backward < taught.step
    assert alone.gradient == taught.gradient == 4 * 1_242_211
    assert taught.memory_is == ("peak" if taught.gpu else "kept")
    # weights, gradients and momentum of the student, and the teacher's 3.35 million weights
    assert taught.memory > 3 * taught.gradient + 4 * 3.3e6
    assert taught.memory > alone.memory, "a teacher's forward is kept beside the student's"
    assert taught.settings == TINY and taught.work.batch == 2


def test_nonsense_is_refused():
    with pytest.raises(LabError, match="--steps must be at least 1"):
        stopwatch.measure("pocket/none", steps=0)
    with pytest.raises(LabError, match="--step-ms more than 0"):
        stopwatch.measure("pocket/none", given=-1.0)


def test_a_step_is_measured_once(scenes_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(forecast, "STEPS", tmp_path)
    first = stopwatch.step_of("pocket/none", TINY, scenes_dir, steps=1)
    monkeypatch.setattr(stopwatch, "measure", None)
    assert stopwatch.step_of("pocket/none", TINY) == first
    longer = {"schedule.steps": 9, **TINY}
    replace(first, settings=longer).write()
    again = stopwatch.step_of("pocket/none", longer, scenes_dir)
    assert again.step == first.step and again.work.steps == 9, "the work is today's"


def test_images_are_those_of_the_data_that_are_named_now(scenes_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(forecast, "STEPS", tmp_path)
    known = find_work(planned_config("paper/table1_none", {}, scenes_dir))
    facts = dict(
        recipe="paper/table1_none", work=known, settings={}, device=stopwatch.device_name()
    )
    kept = dict(gradient=1, size=(1, 1), threads=1, torch="", date="2026", step=1.0, backward=0.5)
    memory = dict(memory=1.0, memory_is="kept", gpu=False, steps=1)
    stopwatch.Measurement(**facts, **kept, **memory).write()
    assert stopwatch.step_of("paper/table1_none", {}, scenes_dir).work.images == known.images < 100
    assert stopwatch.step_of("paper/table1_none", {}).work.images == stopwatch.COCO_IMAGES


def test_a_plan_times_the_form_of_the_step_that_would_train(scenes_dir, monkeypatch):
    forms = []
    monkeypatch.setattr(stopwatch, "choose_form", lambda model, cfg: forms.append(cfg.precision))
    stopwatch.measure("pocket/crosskd", {**TINY, "precision": "bf16"}, scenes_dir, 1)
    assert forms == ["bf16"]


class Product(nn.Module):
    """Inputs times a weight of 1000 floats."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1000))
        self.data_preprocessor = lambda batch, training: batch

    def forward(self, inputs, mode):
        return {"loss": inputs * self.weight}

    def parse_losses(self, losses):
        return losses["loss"].sum(), {}


def test_what_a_forward_keeps_is_counted_once():
    """The product keeps the inputs for the weight's gradient, and the weight for the inputs'."""
    model, batch = Product(), {"inputs": torch.ones(1000)}
    assert kept_bytes(model, batch, [model.weight]) == 4000
    assert kept_bytes(model, batch, []) == 4000, "inputs that need no gradient: no weight"
    batch["inputs"].requires_grad_()
    assert kept_bytes(model, batch, []) == 8000
    assert model.weight.grad is None


def test_weights_gradients_and_the_optimisers_state_come_on_top():
    from mmengine.optim import OptimWrapper

    model, batch = Product(), {"inputs": torch.ones(1000)}
    optimiser = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    assert resident_bytes(model, batch) == 12000, "kept inputs, weight, gradient"
    assert state_bytes(optimiser) == 0, "no momentum yet"
    optimiser.update_params(model(**batch, mode="loss")["loss"].sum())
    assert state_bytes(optimiser) == 4000
