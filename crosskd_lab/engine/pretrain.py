"""Backbones pretrained on a side task of the same scenes: name the one shape in a crop.

The stand-in for ImageNet. Minutes on two cores; no detection label and no image of the detection
sets is used.
"""

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn
from tqdm import tqdm

from ..configs import detector_of, read_config
from ..data.scenes import CLASSES, crops
from ..errors import LabError
from ..files import sha256, sole_writer
from ..stack.checkpoints import save_weights
from .record import RECORD, finish_record, start_record

CROP = 80


class Classifier(nn.Module):
    """A detector's backbone, the mean of its last stage and one linear layer."""

    def __init__(self, backbone: nn.Module, channels: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.linear = nn.Linear(channels, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Class logits ``(N, 10)`` of normalised images ``(N, 3, H, W)``."""
        return self.linear(self.backbone(images)[-1].mean((2, 3)))


def pretrain(
    config: str,
    out: str | Path,
    count: int = 12000,
    held_out: int = 1000,
    epochs: int = 6,
    batch: int = 64,
    lr: float = 0.1,
    seed: int = 0,
    command: list[str] | None = None,
) -> float:
    """Pretrain a detector config's backbone, save it in half precision, return its accuracy in
    percent.

    ``out`` is a ``.safetensors`` file; its record goes to a folder of the same stem. It trains on
    ``count`` crops, each pass with random flips, at a one-cycle learning rate with peak ``lr``, and
    is measured on ``held_out`` crops of another seed.
    """
    model_cfg = detector_of(read_config(config)).model
    out, record = Path(out), Path(out).with_suffix("")
    if out.suffix != ".safetensors":  # before there is work to lose
        raise LabError(f"{out}: weights are saved as .safetensors; name such a file")
    with sole_writer(record):
        if not out.exists():  # of an attempt that was broken off: it cannot be resumed
            (record / RECORD).unlink(missing_ok=True)
        start_record(
            record,
            command=command or [],
            config=f"config = {config!r}\ncount = {count}\nepochs = {epochs}\nlr = {lr}\n",
            seed=seed,
            data={
                "path": f"crosskd_lab.data.scenes.crops(seed={seed})",
                "checksum": "made on the fly",
            },
            teacher=None,
            methods=None,
        )
        torch.manual_seed(seed)
        model = Classifier(
            MODELS.build(dict(model_cfg.backbone, init_cfg=None)), model_cfg.neck.in_channels[-1]
        )
        preprocessor = model_cfg.data_preprocessor
        images, labels = _load(count, seed, preprocessor)
        began = time.perf_counter()
        _fit(model, images, labels, epochs, batch, lr, seed)
        accuracy = _accuracy(model, *_load(held_out, seed + 1, preprocessor))
        save_weights(model.backbone.state_dict(), out)
        results = {"accuracy": accuracy, "seconds": time.perf_counter() - began}
        finish_record(record, "done", results={**results, "sha256": sha256(out)})
    return accuracy


def _load(count: int, seed: int, preprocessor: dict) -> tuple[Tensor, Tensor]:
    made = tqdm(crops(count, CROP, seed), total=count, desc="crops")
    pairs = [(image, label) for image, label in made]
    images = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(preprocessor[k]).view(3, 1, 1) for k in ("mean", "std"))
    normalised = torch.stack([(image.float() - mean) / std for image in images])
    return normalised, torch.tensor([label for _, label in pairs])


def _fit(
    model: nn.Module, images: Tensor, labels: Tensor, epochs: int, batch: int, lr: float, seed: int
) -> None:
    optimiser = torch.optim.SGD(
        model.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    steps = epochs * -(-len(labels) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    model.train()
    generator = torch.Generator().manual_seed(seed)
    orders = (torch.randperm(len(labels), generator=generator) for _ in range(epochs))
    progress = tqdm(
        (chosen for order in orders for chosen in order.split(batch)), "pretrain", total=steps
    )
    for chosen in progress:
        x = images[chosen]
        x = x.flip(-1) if torch.rand(()) < 0.5 else x
        loss = F.cross_entropy(model(x), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}")


@torch.no_grad()
def _accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    model.eval()
    batches = zip(images.split(256), labels.split(256), strict=True)
    hits = sum(int((model(x).argmax(1) == y).sum()) for x, y in batches)
    return 100 * hits / len(labels)
