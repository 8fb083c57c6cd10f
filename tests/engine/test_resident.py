"""A step of fixed shapes: a set on the device gives the loader's batches, and the same student."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from mmengine.structures import InstanceData
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from crosskd_lab.data.coco import find_split
from crosskd_lab.engine import resident
from crosskd_lab.engine.config import load_experiment
from crosskd_lab.engine.record import read_metrics
from crosskd_lab.engine.resident import FixedStep, fix_shapes, resident_set
from crosskd_lab.engine.train import build_runner, prepare_engine
from crosskd_lab.methods.crosskd import CrossKD

from .test_fast import NoWaiting

SMALL = {"data.size": 96, "schedule.steps": 4, "schedule.batch": 4, "schedule.warmup": 2}
SMALL |= {"schedule.validate_every": 2, "teacher.checkpoint": "random", "fast": True}


def built(name, scenes_dir, folder, **more):
    prepare_engine()
    cfg = load_experiment(f"pocket/{name}", SMALL | more, scenes_dir, 3)
    return build_runner(cfg, folder)


def test_draws_are_the_loaders_batches_to_the_bit(scenes_dir, tmp_path):
    runner = built("crosskd", scenes_dir, tmp_path)
    loader, prepare = runner.train_dataloader, runner.model.data_preprocessor
    data = resident_set(loader.dataset.dataset, prepare, torch.device("cpu"))
    step = FixedStep(runner.model, data, 4, loader.dataset)
    seen = []
    for number, batch in zip(range(4), loader, strict=False):
        numbers = list(range(4 * number, 4 * number + 4))
        at, flipped = step._drawn(numbers)
        images, boxes, labels = data.take(at, flipped)
        ready = prepare(batch, True)
        assert images.equal(ready["inputs"])
        for sample, flip, ours, theirs in zip(
            ready["data_samples"], flipped, boxes, labels, strict=True
        ):
            seen.append(bool(flip))
            count = len(sample.gt_instances)
            assert sample.flip == bool(flip)
            assert ours[:count].equal(sample.gt_instances.bboxes) and not ours[count:].any()
            assert theirs[:count].equal(sample.gt_instances.labels) and (theirs[count:] == -1).all()
            assert tuple(step.samples[0].pad_shape) == tuple(sample.pad_shape)
    assert set(seen) == {False, True}


@pytest.mark.parametrize("name", ["none", "crosskd", "crosskd_pkd", "skd"])
def test_a_run_of_fixed_steps_is_the_fast_forms_run(scenes_dir, tmp_path, name):
    kept = {}
    for kind in ("usual", "fixed"):
        runner = built(name, scenes_dir, tmp_path / kind)
        if kind == "fixed":
            assert fix_shapes(runner)
        runner.train()
        rows = read_metrics(tmp_path / kind).drop(columns="seconds_per_step", errors="ignore")
        kept[kind] = runner.model.state_dict(), rows
    (weights, rows), (theirs, others) = kept.values()
    assert weights.keys() == theirs.keys()
    for key, weight in weights.items():
        assert theirs[key].equal(weight), key
    assert rows["AP"].dropna().size == 2
    assert rows.equals(others)


FLIP = "train_dataloader.dataset.dataset.pipeline.3"
RESIZE = "train_dataloader.dataset.dataset.pipeline.2"


class Looks(CrossKD):
    """A method that says nothing of shapes."""


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("fgd", {}),  # it looks at the objects of each image
        ("crosskd", {"fast": False}),
        ("yolox_crosskd", {}),  # whose head has no fast form
        ("crosskd", {"optim_wrapper.accumulative_counts": 2}),
        ("crosskd", {"train_dataloader.num_workers": 1}),
        ("crosskd", {f"{FLIP}.direction": "vertical"}),
        ("crosskd", {RESIZE: {"type": "Resize", "scale_factor": 1.0}}),
        ("crosskd", {"data.size": 80}),  # whose images are padded
    ],
)
@pytest.mark.filterwarnings("ignore:.*reference form")
def test_what_has_no_fixed_step_trains_as_it_did(scenes_dir, tmp_path, name, settings):
    runner = built(name, scenes_dir, tmp_path, **settings)
    assert not fix_shapes(runner)
    assert "train_step" not in vars(runner.model)
    dataset = runner.train_dataloader.dataset
    assert not dataset.by_number and "inputs" in dataset[0]


def test_what_may_look_at_objects_or_the_host_has_none_either(scenes_dir, tmp_path):
    runner = built("crosskd", scenes_dir, tmp_path)
    model = runner.model
    for part, name, odd in (
        (model, "methods", torch.nn.ModuleList([Looks()])),  # a subclass says it for itself
        (model.data_preprocessor, "batch_augments", [lambda images, samples: (images, samples)]),
        (model.pair.teacher_head, "class_order", [1, 0]),
    ):
        usual = getattr(part, name)
        setattr(part, name, odd)
        assert not fix_shapes(runner), name
        setattr(part, name, usual)
    assert fix_shapes(runner)


def test_a_run_that_never_validates_has_fixed_steps_too(scenes_dir, tmp_path):
    runner = built("crosskd", scenes_dir, tmp_path)
    runner._val_loop = runner._val_dataloader = None
    assert fix_shapes(runner)


def test_a_padded_set_is_not_read_whole(scenes_dir, tmp_path, monkeypatch):
    """Its first image tells that a flipped one would lie elsewhere."""
    seen, read = [], resident.read_set
    monkeypatch.setattr(resident, "read_set", lambda *given: seen.append(given[2:]) or read(*given))
    assert not fix_shapes(built("crosskd", scenes_dir, tmp_path, **{"data.size": 80}))
    assert seen == [(1,)] and not resident._sets


def test_a_set_of_several_sizes_or_with_crowds_stays_on_the_disk(scenes_dir, tmp_path):
    for name in ("sizes", "crowds"):
        root = shutil.copytree(scenes_dir, tmp_path / name)
        train = find_split(root, "train")
        said = json.loads(train.annotations.read_text())
        if name == "sizes":
            image = said["images"][0]
            image["width"] += 40
            file = train.images / image["file_name"]
            Image.open(file).resize((image["width"], image["height"])).save(file)
        else:
            said["annotations"][0]["iscrowd"] = 1
        train.annotations.write_text(json.dumps(said))
        assert not fix_shapes(built("none", root, tmp_path / f"{name} run"))


def test_a_set_is_put_on_the_device_once(scenes_dir, tmp_path):
    sets = []
    for name in ("none", "crosskd", "bgr", "raw"):
        runner = built("crosskd" if name == "crosskd" else "none", scenes_dir, tmp_path / name)
        prepare = runner.model.data_preprocessor
        if name == "bgr":
            prepare._channel_conversion = False
        elif name == "raw":  # which nobody normalises
            del prepare.mean, prepare.std
            prepare._enable_normalize = False
        assert fix_shapes(runner)
        sets.append(runner.model.train_step.data)
    assert sets[0] is sets[1]
    assert sets[0].images.dtype == torch.float32 and sets[0].images.shape[1:] == (3, 96, 96)
    assert not sets[2].images.allclose(sets[0].images) and sets[3].images.max() > 100


DATASET = "train_dataloader.dataset.dataset"


def test_sets_of_unlike_images_are_two(scenes_dir, tmp_path):
    """The same files, of which one run takes six, and one those without an object, too."""
    root = shutil.copytree(scenes_dir, tmp_path / "set")
    train = find_split(root, "train")
    said = json.loads(train.annotations.read_text())
    bare = said["images"][0]["id"]
    said["annotations"] = [one for one in said["annotations"] if one["image_id"] != bare]
    train.annotations.write_text(json.dumps(said))
    every = len(said["images"])
    kinds = [({}, every - 1), ({"indices": 6}, 6), ({"filter_cfg.filter_empty_gt": False}, every)]
    for settings, count in kinds:
        settings = {f"{DATASET}.{name}": value for name, value in settings.items()}
        runner = built("none", root, tmp_path / str(count), **settings)
        assert fix_shapes(runner)
        dataset, step = runner.train_dataloader.dataset.dataset, runner.model.train_step
        assert len(dataset) == len(step.data.images) == count
        still = [t for t in dataset.pipeline.transforms if type(t).__name__ != "RandomFlip"]
        sample = dataset.get_data_info(1)
        for transform in still:
            sample = transform(sample)
        ready = runner.model.data_preprocessor({k: [v] for k, v in sample.items()}, True)
        assert step.data.images[1].equal(ready["inputs"][0])


def test_what_it_validates_on_is_read_once(scenes_dir, tmp_path, monkeypatch):
    runner = built("none", scenes_dir, tmp_path)
    dataset, read = runner.val_dataloader.dataset, []
    prepare = dataset.prepare_data
    monkeypatch.setattr(dataset, "prepare_data", lambda n: (read.append(n), prepare(n))[1])
    assert fix_shapes(runner)
    first, again = dataset[1], dataset[1]
    assert read == [1] and first["inputs"] is again["inputs"]
    first["data_samples"].pred_instances = InstanceData()
    assert "pred_instances" not in dataset[1]["data_samples"]
    monkeypatch.setattr(resident, "_fits", lambda size, device: size != 250 * 3 * 96 * 96)
    sample = resident._once(prepare, torch.device("cpu"), 250)
    assert sample(1)["inputs"] is not sample(1)["inputs"], "a set too large is not kept"
    runner = built("none", scenes_dir, tmp_path / "pinned", **{"val_dataloader.pin_memory": True})
    assert fix_shapes(runner)
    assert "prepare_data" not in vars(runner.val_dataloader.dataset), "what is pinned stays here"


class NothingCrosses(TorchDispatchMode):
    """Raises at the first operator that carries more than a number between host and device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, made)) if isinstance(x, torch.Tensor)]
        if len({x.device.type for x in tensors if x.dim()}) > 1:
            raise AssertionError(f"{func} carries numbers over")
        return made


METHODS = ("none", "kd", "crosskd", "crosskd_pkd", "fitnets")
OTHERS = ("atss_crosskd", "retinanet_crosskd", "fcos_crosskd")


@pytest.mark.parametrize("name", [*METHODS, "skd", *OTHERS])
def test_no_fixed_step_waits_or_brings_anything_from_the_host(scenes_dir, tmp_path, name):
    """What a GPU records must all be there; a device without memory stands for it."""
    runner = built(name, scenes_dir, tmp_path)
    assert fix_shapes(runner)
    model = runner.model.train()
    model.train_step.forward_and_backward()  # the first looks at the teacher, and fills caches
    with NoWaiting():
        model.train_step.forward_and_backward()
    if name == "skd":  # it names its device to autocast, which knows no other than real ones
        return
    model.to("meta")
    data = replace(model.train_step.data, **{k: v.to("meta") for k, v in tensors(model)})
    step = FixedStep(model, data, 4, None)
    step.forward_and_backward()
    with NothingCrosses():
        losses = step.forward_and_backward()
    assert losses["loss"].is_meta
    with NothingCrosses(), pytest.raises(AssertionError, match="over"):
        torch.ones(2).to("meta")


def tensors(model):
    return [(k, v) for k, v in vars(model.train_step.data).items() if k != "sample"]


class Played:
    """Stands for what a GPU recorded: it does the step again, with something wrong."""

    def __init__(self, step, wrong):
        self.step, self.wrong = step, wrong
        step.names = list(step._run())
        step.values = torch.full((len(step.names),), torch.nan)
        weights = [w for w in step.model.parameters() if w.grad is not None]
        step.gradients = [(w, torch.full_like(w, torch.nan)) for w in weights]

    def replay(self):
        step = self.step
        kept = [weight.grad for weight, _ in step.gradients]
        step.values.copy_(torch.stack([value.detach() for value in step._run().values()]))
        for (weight, played), gradient in zip(step.gradients, kept, strict=True):
            played.copy_(weight.grad)
            weight.grad = gradient
        if self.wrong == "a loss":
            step.values[1] *= 1.1
        elif self.wrong == "a gradient":
            step.gradients[7][1].mul_(1.1)
        elif self.wrong == "a statistic":
            step.model.backbone.bn1.running_mean.mul_(1.1)


@pytest.mark.parametrize("wrong", [None, "a loss", "a gradient", "a statistic", "all"])
def test_a_recording_takes_the_kernels_place_where_its_numbers_are_theirs(
    scenes_dir, tmp_path, monkeypatch, wrong
):
    steps = []
    for name in ("recorded", "alone"):
        runner = built("crosskd", scenes_dir, tmp_path / name)
        assert fix_shapes(runner)
        steps.append(runner.model.train().train_step)
        steps[-1].fill(*steps[-1].data.take(torch.arange(4), torch.tensor([True, False] * 2)))
        steps[-1]._run()
    step, alone = steps
    monkeypatch.setattr(step, "_beside", step._run)

    def recorded():
        if wrong == "all":
            raise RuntimeError("\n operation not permitted\nmore")
        before = {name: kept.clone() for name, kept in step.model.state_dict().items()}
        played = Played(step, wrong)
        step.model.load_state_dict(before)  # recording changes nothing
        return played

    monkeypatch.setattr(step, "_recorded", recorded)
    if wrong is None:
        losses = step._record()
        assert step.graph is not None
    else:
        reason = "operation not permitted$" if wrong == "all" else "gives other numbers"
        with pytest.warns(UserWarning, match=f"kernel by kernel, no graph of it: .*{reason}"):
            losses = step._record()
        assert step.graph is None and step.steps == -1
    # the step was made once, by the kernels
    truth = alone._run()
    assert losses.keys() == truth.keys() and all(truth[k].equal(v) for k, v in losses.items())
    for (name, weight), other in zip(
        step.model.named_parameters(), alone.model.parameters(), strict=True
    ):
        assert (weight.grad is None) == (other.grad is None), name
        assert weight.grad is None or weight.grad.equal(other.grad), name
    for (name, kept), other in zip(step.model.named_buffers(), alone.model.buffers(), strict=True):
        assert kept.equal(other), name
