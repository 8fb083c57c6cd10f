"""A step whose shapes never change: the set on the device, and on a GPU one CUDA graph a step.

At pocket scale a step is thousands of tiny kernels, and launching them takes longer than running
them. Where all images have one size, the set is put on the device once, normalised; boxes are
padded to the largest count of an image; a draw is a row of it, flipped where its bit says so. Then
forward and backward are the same kernels at every step: a GPU records them once and plays them
again, the CPU runs them, which is how they are tested. The numbers are those of the fast form.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData
from torch import Tensor

from .draws import Draws
from .fast import FastForm, ddod_losses
from .targets import pad_objects

FLIP = "RandomFlip"
PIPELINE = ["LoadImageFromFile", "LoadAnnotations", "Resize", FLIP, "PackDetInputs"]
SHARE = 0.25  # of a GPU's memory for a set
WARM = 3  # steps before the recording, in which kernels are chosen and caches filled
AGREE = 1e-2  # of a tensor's norm: the same kernels may add in another order


@dataclass(frozen=True)
class ResidentSet:
    """Every image of a set as the model takes it, on the model's device.

    ``images`` ``(M, 3, H, W)`` normalised; ``boxes`` ``(M, G, 4)`` xyxy in pixels, zeros beyond an
    image's own; ``labels`` ``(M, G)``, -1 there; ``sample`` has what images of this size share.
    """

    images: Tensor
    boxes: Tensor
    labels: Tensor
    sample: Any

    def take(self, at: Tensor, flipped: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images, boxes and labels ``(N, 3, H, W)``, ``(N, G, 4)``, ``(N, G)`` at rows ``(N,)``.

        ``flipped`` ``(N,)`` says which are mirrored.
        """
        images, boxes, labels = (kept[at] for kept in (self.images, self.boxes, self.labels))
        left, top, right, bottom = boxes.unbind(-1)
        width = images.size(-1)
        mirrored = torch.stack([width - right, top, width - left, bottom], -1)
        now = flipped[:, None, None]
        boxes = torch.where(now & (labels >= 0)[..., None], mirrored, boxes)
        return torch.where(now[..., None], images.flip(-1), images), boxes, labels


class FixedStep:
    """What ``model.train_step`` does for N numbers of draws; see the module."""

    def __init__(self, model: Any, data: ResidentSet, batch: int, draws: Draws | None) -> None:
        self.model, self.data, self.draws = model, data, draws
        kept = data.images, data.boxes, data.labels
        self.images, self.boxes, self.labels = (k.new_zeros(batch, *k.shape[1:]) for k in kept)
        self.samples = [data.sample.clone() for _ in range(batch)]
        for sample, boxes, labels in zip(self.samples, self.boxes, self.labels, strict=True):
            sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
        self.graph: Any = None
        self.steps = 0 if self.images.is_cuda else -1  # before the recording; -1: there is none
        self.stream = torch.cuda.Stream() if self.images.is_cuda else None
        self.learning = any(p.requires_grad for p in model.methods.parameters())

    def __call__(self, data: dict[str, Any], optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One step of the optimiser; the losses by name."""
        self.fill(*self.data.take(*self._drawn(data["draws"])))
        losses = self.forward_and_backward()
        optim_wrapper.step()
        return losses

    def fill(self, images: Tensor, boxes: Tensor, labels: Tensor) -> None:
        """Put a batch where the step reads it."""
        self.images.copy_(images)
        self.boxes.copy_(boxes)
        self.labels.copy_(labels)

    def forward_and_backward(self) -> dict[str, Tensor]:
        """Losses by name, and gradients in the model's weights."""
        if not self.images.is_cuda:
            return self._run()
        measured = self.learning and self.model.logged  # then methods look at more than losses
        if self.graph is None and not measured and self.steps >= WARM and self._ready:
            return self._record()
        if self.graph is None or measured:
            return self._beside()
        for weight, gradient in self.gradients:
            weight.grad = gradient
        self.graph.replay()
        return dict(zip(self.names, self.values.clone().unbind(), strict=True))

    def _drawn(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Which image each draw is, and whether it is flipped, by the draw's own random numbers."""
        assert self.draws is not None
        (flip,) = (t for t in self.draws.dataset.pipeline.transforms if type(t).__name__ == FLIP)
        drawn = [(self.draws.begin(n), flip._choose_direction() is not None) for n in numbers]
        told = torch.tensor(drawn, pin_memory=self.images.is_cuda)  # (N, 2)
        at, flipped = told.to(self.images.device, non_blocking=True).unbind(1)
        return at, flipped.bool()

    @property
    def _ready(self) -> bool:
        """Whether the teacher has been looked at, which reads a number."""
        return self.model._teacher_checked or not len(self.model.methods)

    def _run(self) -> dict[str, Tensor]:
        self.model.zero_grad(set_to_none=True)
        total, losses = self.model.parse_losses(self.model.loss(self.images, self.samples))
        total.backward()
        return losses

    def _beside(self) -> dict[str, Tensor]:
        """Kernel by kernel, on the stream of what is recorded later: each has memory of its own."""
        assert self.stream is not None
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            losses = self._run()
        torch.cuda.current_stream().wait_stream(self.stream)
        self.steps += self.steps >= 0
        return losses

    def _record(self) -> dict[str, Tensor]:
        """Kernel by kernel once more, between a recording and its first play: both must agree.

        Where it cannot be recorded or does not agree, one line says so and none is tried again.
        """
        try:
            graph = self._recorded()
        except RuntimeError as error:
            return self._give_up((str(error).strip().splitlines() or ["no reason given"])[0])
        buffers = list(self.model.buffers())
        before = [buffer.clone() for buffer in buffers]
        losses = self._beside()
        after = [buffer.clone() for buffer in buffers]
        run = [*losses.values(), *(weight.grad for weight, _ in self.gradients)]
        torch._foreach_copy_(buffers, before)
        graph.replay()
        played = [*self.values.unbind(), *(gradient for _, gradient in self.gradients)]
        if not (agree(played, run, 1e-3) and agree(buffers, after)):
            torch._foreach_copy_(buffers, after)
            return self._give_up("played back it gives other numbers", losses)
        self.graph = graph
        return losses

    def _recorded(self) -> Any:
        """The graph of a step, with the tensors that it writes and those that it reads."""
        graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, stream=self.stream):
                losses = self._run()
                self.values = torch.stack([value.detach() for value in losses.values()])
        except RuntimeError as error:
            torch.cuda.set_stream(here)  # torch leaves the recording's behind
            raise error.__context__ or error from None  # the first, not that of the end
        self.names = list(losses)
        weights = [p for p in self.model.parameters() if p.grad is not None]
        self.gradients = [(weight, weight.grad) for weight in weights]
        pair = self.model.pair
        self.kept = dict(pair.student_head._kept), dict(pair.teacher_head._kept)
        return graph

    def _give_up(self, reason: str, losses: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        self.steps = -1
        warnings.warn(f"the step runs kernel by kernel, no graph of it: {reason}", stacklevel=2)
        return losses or self._beside()


def agree(played: Sequence[Tensor], run: Sequence[Tensor], floor: float = 0.0) -> bool:
    """Whether no tensor differs by more than AGREE of its norm and ``floor`` of all's together."""
    norms = torch.stack([one.float().norm() for one in run])
    apart = [(a.float() - b.float()).norm() for a, b in zip(played, run, strict=True)]
    return bool((torch.stack(apart) <= AGREE * (norms + floor * norms.norm())).all())


def read_set(dataset: Any, prepare: Any, count: int | None = None) -> ResidentSet:
    """A set read through its own pipeline without the flip, and the model's own preparation.

    Its first ``count`` images, by default all.
    """
    count = len(dataset) if count is None else count
    still = [one for one in dataset.pipeline.transforms if type(one).__name__ != FLIP]
    images, truths = [], []
    for start in range(0, count, 64):
        batch = []
        for number in range(start, min(start + 64, count)):
            sample = dataset.get_data_info(number)
            for transform in still:
                sample = transform(sample)
            batch.append(sample)
        ready = prepare(pseudo_collate(batch), True)
        images.append(ready["inputs"])
        truths += [sample.gt_instances for sample in ready["data_samples"]]
    objects = pad_objects(truths)
    return ResidentSet(torch.cat(images), objects.boxes, objects.labels, ready["data_samples"][0])


def fix_shapes(runner: Any) -> bool:
    """Give a built run steps of fixed shapes, and keep what it validates on; False if it cannot."""
    model, loader, prepare = runner.model, runner.train_dataloader, runner.model.data_preprocessor
    if not _are_fixed(model, loader, runner.optim_wrapper):
        return False
    device = next(model.parameters()).device
    data = resident_set(loader.dataset.dataset, prepare, device)
    if data is None:
        return False
    model.train_step = FixedStep(model, data, loader.batch_size, loader.dataset)
    loader.dataset.by_number = True
    seen = runner.val_loop and runner.val_dataloader  # which asks the loop for it
    if seen and not seen.num_workers and not seen.pin_memory:
        seen.dataset.prepare_data = _once(seen.dataset.prepare_data, device, len(seen.dataset))
    return True


def _are_fixed(model: Any, loader: Any, optim_wrapper: Any) -> bool:
    """Whether a run's steps look at no single objects and images, before any is read."""
    pair = getattr(model, "pair", None)
    if type(loader.dataset) is not Draws or pair is None:
        return False
    form = pair.student_head.fast
    if not isinstance(form, FastForm) or form.losses is ddod_losses:  # its counts are the host's
        return False
    pipeline = getattr(loader.dataset.dataset, "pipeline", None)  # a set of sets has none
    transforms = pipeline.transforms if pipeline else []
    return (
        [type(one).__name__ for one in transforms] == PIPELINE
        and transforms[2].scale is not None
        and transforms[3].direction == "horizontal"
        and not loader.num_workers
        and not model.data_preprocessor.batch_augments
        and pair.teacher_head.class_order is None  # a list, brought from the host at each step
        # not inherited: a subclass may look at more
        and all(vars(type(method)).get("fixed_shapes") for method in model.methods)
        and type(optim_wrapper) is OptimWrapper
        and optim_wrapper._accumulative_counts == 1
    )


_sets: dict[Any, ResidentSet] = {}


def resident_set(dataset: Any, prepare: Any, device: torch.device) -> ResidentSet | None:
    """The set on a device, one of each kind for all runs; None where it cannot be there.

    That is where it is large, its images are of several sizes or padded (a flipped one would lie
    elsewhere), or has objects to leave out.
    """
    infos = [dataset.get_data_info(number) for number in range(len(dataset))]
    sizes = {(info["height"], info["width"]) for info in infos}
    crowds = any(instance["ignore_flag"] for info in infos for instance in info["instances"])
    width, height = dataset.pipeline.transforms[2].scale
    if len(sizes) > 1 or crowds or not _fits(len(infos) * 3 * 4 * width * height, device):
        return None
    look = [repr(getattr(prepare, name, None)) for name in ("mean", "std", "_channel_conversion")]
    key = (repr(infos), repr(dataset.pipeline), *look, prepare.pad_size_divisor, device)
    if key not in _sets:
        _sets.clear()
        if _is_padded(dataset, prepare):
            return None
        _sets[key] = read_set(dataset, prepare)
    return _sets[key]


def _is_padded(dataset: Any, prepare: Any) -> bool:
    """Whether images, all of one size, get a border: the first one tells."""
    first = read_set(dataset, prepare, 1).sample
    return first.img_shape != first.pad_shape


def _fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes are no more than a set's share of the device's memory."""
    if device.type != "cuda":
        return True
    return size <= SHARE * torch.cuda.get_device_properties(device).total_memory


def _once(prepare: Callable[[int], Any], device: torch.device, count: int) -> Callable[[int], Any]:
    """Each of ``count`` samples that have nothing random, made once and kept on the device."""
    kept: dict[int, Any] = {}

    def sample(number: int) -> Any:
        if number not in kept:
            made = prepare(number)
            if not _fits(count * made["inputs"].nbytes, device):
                return made
            kept[number] = {**made, "inputs": made["inputs"].to(device)}
        return {**kept[number], "data_samples": kept[number]["data_samples"].clone()}

    return sample
