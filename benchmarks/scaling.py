"""The plan's model held against two processes that really train together, on this machine's CPU.

    python benchmarks/scaling.py [--steps 20] [--batch 16] [--size 160] [--data DIR] [--out FILE]

Times a pocket recipe's step three times, each process with one thread and the same batch: one
process alone; several side by side that do not talk; the same through gloo, as training does it.
Bandwidth and latency of the all-reduce are measured on tensors alone and put into the model, so
that nothing is fitted to the step that is predicted. With --out, the table in docs/plan.md is
written from the file too. Run it while nothing else runs, with a core a process.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from mmengine.model import MMDistributedDataParallel
from torch import distributed, multiprocessing

from crosskd_lab.engine.provenance import machine
from crosskd_lab.files import write_whole
from crosskd_lab.runs.forecast import (
    OVERLAP,
    WARM_UP,
    exposed_seconds,
    planned_config,
    ready_to_step,
    ring_seconds,
    timed_step,
)

DOCS = Path(__file__).resolve().parents[1] / "docs" / "plan.md"
BEGIN, END = "<!-- scaling:", "<!-- end -->"


def steps_of(model: Any, optimiser: Any, batch: dict, count: int) -> tuple[float, float]:
    """Seconds of a step and of its backward, medians after the steps to warm up."""
    times = []
    for _ in range(WARM_UP + count):
        if distributed.is_initialized():
            distributed.barrier()
        times.append(timed_step(model, batch, optimiser))
    times = times[WARM_UP:]
    whole, backward = zip(*times, strict=True)
    return statistics.median(whole), statistics.median(backward)


def all_reduce_seconds(size: int, count: int = 10) -> float:
    """Seconds of one all-reduce of so many bytes, the median."""
    tensor, taken = torch.zeros(max(1, size // 4)), []
    for _ in range(count + 2):
        distributed.barrier()
        began = time.perf_counter()
        distributed.all_reduce(tensor)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[2:])


def process(rank: int, world: int, port: int, given: argparse.Namespace, answers: Any) -> None:
    """One process: alone, or beside and then together with others; the first one answers."""
    torch.set_num_threads(1)
    settings = {"data.size": given.size, "schedule.batch": given.batch}
    model, optimiser, batch = ready_to_step(planned_config(given.recipe, settings, given.data))
    said: dict[str, Any] = {}
    if world == 1:
        said["alone"] = steps_of(model, optimiser, batch, given.steps)
    else:
        os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
        distributed.init_process_group("gloo", rank=rank, world_size=world)
        gradient = sum(4 * p.numel() for p in model.parameters() if p.requires_grad)
        said |= {"gradient": gradient, "latency": all_reduce_seconds(4)}
        said["whole"] = all_reduce_seconds(gradient)
        said["beside"] = steps_of(model, optimiser, batch, given.steps)
        wrapped = MMDistributedDataParallel(model, device_ids=None, broadcast_buffers=False)
        said["together"] = steps_of(wrapped, optimiser, batch, given.steps)
        distributed.destroy_process_group()
    if rank == 0:
        answers.put(said)


def ask(world: int, given: argparse.Namespace) -> dict[str, Any]:
    """What a group of so many processes has measured."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    answers = multiprocessing.get_context("spawn").SimpleQueue()
    multiprocessing.spawn(process, (world, port, given, answers), nprocs=world)
    return answers.get()


def compare(given: argparse.Namespace) -> pd.DataFrame:
    """Three rows: alone, beside each other, together; milliseconds measured and predicted."""
    n = given.processes
    said = ask(1, given) | ask(n, given)
    on_the_wire = max(said["whole"] - said["latency"], 1e-9)
    bandwidth = 2 * (n - 1) / n * said["gradient"] / on_the_wire
    told = ring_seconds(said["gradient"], n, bandwidth, said["latency"])
    rows = []
    for name, processes in (("alone", 1), ("beside", n), ("together", n)):
        row = {"case": name, "processes": processes, "images": given.batch * processes}
        row |= {"measured_ms": said[name][0], "backward_ms": said[name][1]}
        for base in ("alone", "beside") if name == "together" else ():
            step, backward = said[base]
            for share in (0.0, OVERLAP, 1.0):
                row[f"{base}_{share:g}_ms"] = step + exposed_seconds(told, backward, share)
        rows.append({k: 1000 * v if k.endswith("_ms") else v for k, v in row.items()})
    return pd.DataFrame(rows).assign(
        gradient_mb=said["gradient"] / 1e6,
        gb_s=bandwidth / 1e9,
        latency_ms=1000 * said["latency"],
        overlap=OVERLAP,
        recipe=given.recipe,
        size=given.size,
        steps=given.steps,
        cpu=machine()["cpu"],
        cores=machine()["cores"],
        torch=torch.__version__,
        date=datetime.now(timezone.utc).date().isoformat(),
    )


def table(frame: pd.DataFrame) -> str:
    """The comparison in Markdown, as docs/plan.md has it."""
    rows = frame.set_index("case")
    one, last = rows.loc["alone"], rows.loc["together"]
    half = f"{last['overlap']:g}"

    def predicted(base: str) -> str:
        few, some, none = (last[f"{base}_{share}_ms"] for share in ("1", half, "0"))
        return f"{some:.0f} ({few:.0f} to {none:.0f})"

    n = int(last["processes"])
    return "\n".join(
        (
            f"`{one['recipe']}`, {one['images']:.0f} images of {one['size']:.0f} pixels a process, "
            f"one thread each; median of {one['steps']:.0f} steps on {one['cpu']} with "
            f"{one['cores']:.0f} cores, torch {one['torch']}, {one['date']}. The all-reduce of "
            f"{one['gradient_mb']:.1f} MB: {one['gb_s']:.2f} GB/s, {one['latency_ms']:.2f} ms a "
            f"bucket. Predicted with {one['overlap']:.0%} hidden, and in brackets with all and "
            "with none.",
            "",
            "| | ms a step, measured | predicted |",
            "|---|---|---|",
            f"| one process | {one['measured_ms']:.0f} | |",
            f"| {n} that do not talk | {rows.loc['beside', 'measured_ms']:.0f} | "
            f"{one['measured_ms']:.0f}, as if alone |",
            f"| {n} through gloo | {last['measured_ms']:.0f} | {predicted('alone')} from one |",
            f"| | | {predicted('beside')} from {n} that do not talk |",
        )
    )


def put_into(text: str, shown: str) -> str:
    """The document with its marked place filled anew."""
    before, _, rest = text.partition(BEGIN)
    mark, _, rest = rest.partition("\n")
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}{mark}\n{shown}\n{END}{after}"


def main() -> None:
    """Print the comparison, and write it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="pocket/crosskd")
    parser.add_argument("--data", help="a COCO-format folder instead of the recipe's")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16, help="images a process")
    parser.add_argument("--size", type=int, default=160, help="pixels")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="CSV, and the table in docs/plan.md")
    given = parser.parse_args()
    if given.processes < 2:
        sys.exit("--processes must be at least 2: one process is measured anyway")
    if torch.cuda.is_available():
        sys.exit("this measures the CPU: put CUDA_VISIBLE_DEVICES= before the command")
    frame = compare(given)
    print(table(frame))
    if given.out:
        write_whole(given.out, frame.round(3).to_csv(index=False))
        write_whole(DOCS, put_into(DOCS.read_text("utf-8"), table(pd.read_csv(given.out))))
        print(f"\nwrote {given.out} and {DOCS}")


if __name__ == "__main__":
    main()
