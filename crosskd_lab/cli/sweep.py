"""``crosskd-lab sweep``: a declared set of runs, resumable at any point."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def sweep(
    file: Annotated[str, typer.Argument(help="A name below configs/sweeps, or a file like those.")],
    only: Annotated[
        list[str] | None, typer.Option(help="Only this row; may be given again.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated; the sweep's own by default.")] = "",
    side_by_side: Annotated[
        int, typer.Option(min=1, help="Runs at a time, each in a process: for a GPU.")
    ] = 1,
    recorded: Annotated[
        Path | None, typer.Option(help="Folder of the records; data/recorded by default.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only the first steps: does today's code repeat them?")
    ] = False,
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("runs/sweeps"),
) -> None:
    """Run what a sweep declares and has no record of yet; a record a run goes to data/recorded.

    Seed by seed, so that a sweep which is cut short leaves whole seeds. The same command again
    goes on where it was. To re-make a recorded row from scratch, name other folders:
    --only ROW --seeds 0 --recorded again --runs again. With --check, the first steps of each
    recorded row are made again with its first seed (or --seeds), and confirmed.json beside the
    records says how they compared: where they differ, tables show the row as stale.
    """
    from tqdm.auto import tqdm

    from ..errors import LabError
    from ..report.sweep_spec import CLOSE, RECORDED, read_sweep
    from ..runs.sweep import replay, run_side_by_side, run_sweep, to_do

    declared, place = read_sweep(file), recorded or RECORDED
    try:
        chosen = [int(seed) for seed in seeds.split(",") if seed.strip()]
    except ValueError:
        raise LabError(f"--seeds takes numbers such as 0,1,2; got {seeds!r}") from None
    names = only or []
    if check:
        for name, seed, apart in replay(declared, names, chosen, place):
            verdict = "agrees" if apart <= CLOSE else "DIFFERS: the row is stale"
            print(f"{name}-s{seed}: {verdict} (losses differ by {apart:.2g} of their size)")
        return
    plan = to_do(declared, names, chosen, place)
    whole = len(declared.plan(names, chosen))
    print(f"{declared.title}\n{whole} runs, {whole - len(plan)} of them recorded; {place}")
    if side_by_side > 1:
        options = ["--recorded", str(place), "--runs", str(runs)]
        codes = run_side_by_side(declared, file, plan, side_by_side, options)
        print(f"{len(plan)} runs over, {sum(map(bool, codes))} of them broken off")
        return
    steps = sum(int(row.settings["schedule.steps"]) for row, _ in plan)
    with tqdm(total=steps, unit="step", dynamic_ncols=True, smoothing=0.05) as bar:
        told: dict[Any, int] = {}

        def listen(row: Any, seed: int, metrics: dict[str, Any]) -> None:
            bar.set_description(f"{row.name}-s{seed}")
            bar.update(metrics["step"] - told.get((row.name, seed), 0))
            told[row.name, seed] = metrics["step"]

        lines = run_sweep(declared, names, chosen, runs, place, listener=listen)
    for line in lines:
        came = f"AP {line['AP']:.1f}" if line["status"] == "done" else f"failed: {line['reason']}"
        print(f"{line['row']}-s{line['seed']}: {came}")
