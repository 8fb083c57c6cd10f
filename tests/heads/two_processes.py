"""One of two processes of distributed steps; ``python two_processes.py JOBS OUT RANK``.

JOBS is a pickle of a list, each entry with student, teacher (both on random weights), images,
samples, methods and whether only what is distilled counts; RANK says which half of the batch is
this process's. OUT gets, for each, the losses, averaged over processes, and the gradients that DDP
made of both halves.
"""

import sys
from typing import Any

import torch
import torch.distributed as dist


def main(jobs: str, out: str, number: str) -> None:
    """Work through the jobs side by side with the other process."""
    import crosskd_lab  # noqa: F401  (the stack, before the pickle needs mmdet)

    rank = int(number)
    dist.init_process_group("gloo", init_method=f"file://{out}.meeting", rank=rank, world_size=2)
    done = [step(work, rank) for work in torch.load(jobs, weights_only=False)]
    if rank == 0:
        torch.save(done, out)
    dist.destroy_process_group()


def by_image(student: Any) -> Any:
    """The student, with YOLOX's head made comparable: BatchNorm would see a half of the batch, and
    SimOTA holds overlaps in float32 alone.
    """
    for layer in student.bbox_head.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()
    assigner = getattr(student.bbox_head, "assigner", None)  # FCOS has none
    if type(assigner).__name__ == "SimOTAAssigner":
        stock = assigner.assign
        assigner.assign = lambda pred_instances, **truth: stock(
            pred_instances=pred_instances.to(torch.float32), **truth
        )
    return student


def step(work: dict[str, Any], rank: int) -> dict[str, Any]:
    """Losses and gradients of one step on this process's half."""
    from crosskd_lab.distiller import Distiller
    from crosskd_lab.pair import Pair

    pair = Pair(by_image(work["student"]), work["teacher"])
    torch.manual_seed(0)  # of what the methods learn
    distiller = Distiller(pair=pair, methods=work["methods"]).double()
    half = len(work["samples"]) // 2
    mine = slice(rank * half, (rank + 1) * half)
    ddp = torch.nn.parallel.DistributedDataParallel(distiller, broadcast_buffers=False)
    found = ddp(work["images"][mine], work["samples"][mine], "loss")
    rest: dict[str, Any] = {}
    if work["distilled_only"]:
        rest = {name: value for name, value in found.items() if "kd" not in name}
        found = {name: value for name, value in found.items() if "kd" in name}
    total, losses = distiller.parse_losses(found)
    if rest:  # with weight 0: DDP averages once every parameter has been reached
        total = total + 0 * distiller.parse_losses(rest)[0]
    total.backward()
    shared = {}
    for name, value in losses.items():
        shared[name] = value.detach().clone()
        dist.all_reduce(shared[name])
        shared[name] /= 2
    grads = {n: p.grad for n, p in distiller.named_parameters() if p.grad is not None}
    return {"losses": shared, "grads": grads}


if __name__ == "__main__":
    main(*sys.argv[1:])
