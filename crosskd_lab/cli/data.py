"""``crosskd-lab data``: make synthetic scenes, get COCO, look at a detection set, check it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Make synthetic scenes; draw and check any COCO set.")

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of a COCO-format set.", show_default=False)
]


@app.command()
def scenes(
    out: Annotated[
        Path, typer.Option(help="Folder to write; new, empty or begun by this same command.")
    ],
    size: Annotated[int, typer.Option(help="Side of the square images in pixels.")] = 160,
    train: Annotated[int, typer.Option(help="Training images.")] = 2000,
    val: Annotated[int, typer.Option(help="Held-out images.")] = 500,
    test: Annotated[int, typer.Option(help="More held-out images.")] = 0,
    seed: Annotated[int, typer.Option(help="Which scenes; the same seed, the same bytes.")] = 0,
    processes: Annotated[
        int | None, typer.Option(help="Draw in so many processes.", show_default="one a CPU")
    ] = None,
) -> None:
    """Make a COCO-format detection set of synthetic scenes.

    Images of textured shapes on cluttered ground, ten classes, 1 to 8 objects each. Stopped or
    damaged sets are completed by the same command; foreign files are never touched.
    """
    from ..data.scene_sets import data_checksum, write_scenes

    write_scenes(out, size, train, val, test, seed, processes)
    splits = {"train": train, "val": val, "test": test}
    made = ", ".join(f"{count} {split}" for split, count in splits.items() if count)
    print(f"{out}: {made} images of {size} x {size} pixels, data checksum {data_checksum(out)}")


@app.command()
def coco(
    root: Annotated[Path, typer.Option(help="Folder of the set; what is there is kept.")],
    split: Annotated[
        str | None, typer.Option(help="train or val.", show_default="both, 40 GB while unpacking")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="A folder that has the zip files.")
    ] = None,
    mirror: Annotated[
        str | None, typer.Option(metavar="URL", help="In place of images.cocodataset.org.")
    ] = None,
) -> None:
    """Get COCO 2017, resumed where it stopped.

    Its publisher names no checksums: zip files are checked by length and by the CRC of each
    member, the set by the number of its photographs.
    """
    from ..data.fetch import MIRROR, get_coco

    splits = [split] if split else ["train", "val"]
    folder = get_coco(root, splits, source, mirror or MIRROR)
    print(f"{folder}: COCO 2017, {' and '.join(splits)}; train on it with --data {folder}")


@app.command()
def draw(
    folder: Folder,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    count: Annotated[int, typer.Option(help="How many images.")] = 12,
    seed: Annotated[int, typer.Option(help="Which images.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Picture to write.", show_default="samples_{split}.png")
    ] = None,
) -> None:
    """Draw some images with their boxes and class names into one picture."""
    import io

    from PIL import Image

    from ..data.samples import draw_samples
    from ..errors import LabError
    from ..files import write_whole

    target = out or Path(f"samples_{split}.png")
    if target.suffix.lower() != ".png" or not target.parent.is_dir():
        raise LabError(
            f"{target} is no name for the picture; give NAME.png in a folder that exists"
        )
    picture = io.BytesIO()
    Image.fromarray(draw_samples(folder, split, count, seed)).save(picture, "PNG")
    write_whole(target, picture.getvalue())
    print(f"{count} {split} images of {folder} drawn to {target}")


@app.command()
def check(
    folder: Folder,
    split: Annotated[
        str | None, typer.Option(help="train, val or test.", show_default="all there are")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="List bad records instead of stopping at the first.")
    ] = False,
) -> None:
    """Check every image and box of a set; says what `--skip-bad` would leave out of a training."""
    from ..data.check import check as check_split
    from ..data.coco import find_splits
    from ..errors import LabError

    empty = ""
    names = [split] if split else [found.name for found in find_splits(folder)]
    for name in names:
        report = check_split(folder, name, skip_bad)
        for problem in report.problems:
            print(f"{report.split.annotations}: {problem.record}: {problem.detail}")
        print(report.summary())
        if report.split.name == "train" and not report.boxes_seen:
            empty = f"{report.split.annotations}: no box to learn from: give a set that has some"
    if empty:
        raise LabError(empty)
