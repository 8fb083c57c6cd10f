"""``data``, ``teachers``, ``export``, ``book`` and ``workshop``: what goes in and comes out."""

import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from .options import Csv, Mirror, Saved, SavedConfig, Source, Wide
from .show import print_table, write_csv

data = typer.Typer(no_args_is_help=True)

Folder = Annotated[
    Path, Argument(metavar="DIR", help="Folder of a COCO-format set.", show_default=False)
]


@data.command()
def scenes(
    out: Annotated[Path, Option(help="Folder to write; new, empty or begun by this same command.")],
    size: Annotated[int, Option(help="Side of the square images in pixels.")] = 160,
    train: Annotated[int, Option(help="Training images.")] = 2000,
    val: Annotated[int, Option(help="Held-out images.")] = 500,
    test: Annotated[int, Option(help="More held-out images.")] = 0,
    seed: Annotated[int, Option(min=0, help="Which scenes; the same seed, the same bytes.")] = 0,
) -> None:
    """Make a COCO-format detection set of synthetic scenes.

    Images of textured shapes on cluttered ground, ten classes, 1 to 8 objects each. Stopped or
    damaged sets are made whole by the same command; foreign files are never touched.
    """
    from ..data.scene_sets import data_checksum, write_scenes

    write_scenes(out, size, train, val, test, seed)
    splits = {"train": train, "val": val, "test": test}
    made = ", ".join(f"{count} {split}" for split, count in splits.items() if count)
    print(f"{out}: {made} images of {size} x {size} pixels, data checksum {data_checksum(out)}")


@data.command()
def coco(
    root: Annotated[Path, Option(help="Folder of the set; what is there is kept.")],
    split: Annotated[
        str | None, Option(help="train or val.", show_default="both, 43 GB while unpacking")
    ] = None,
    source: Source = None,
    mirror: Mirror = None,
) -> None:
    """Get COCO 2017, resumed where it stopped.

    Its publisher names no checksums: zip files are checked by length and by the CRC of each
    member, the set by the number of its photographs.
    """
    from ..data.fetch import MIRROR, get_coco

    splits = [split] if split else ["train", "val"]
    folder = get_coco(root, splits, source, mirror or MIRROR)
    print(f"{folder}: COCO 2017, {' and '.join(splits)}; train on it with --data {folder}")


@data.command()
def draw(
    folder: Folder,
    split: Annotated[str, Option(help="train, val or test.")] = "val",
    count: Annotated[int, Option(help="How many images.")] = 12,
    seed: Annotated[int, Option(min=0, help="Which images.")] = 0,
    out: Annotated[
        Path | None, Option(help="Picture to write.", show_default="samples_{split}.png")
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


@data.command("check")
def check_set(
    folder: Folder,
    split: Annotated[
        str | None, Option(help="train, val or test.", show_default="all there are")
    ] = None,
    skip_bad: Annotated[
        bool, Option("--skip-bad", help="List bad records instead of stopping at the first.")
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


teachers = typer.Typer(no_args_is_help=True)


@teachers.command("get")
def get_teacher(
    name: Annotated[str, Argument(help="A public teacher; `teachers list` has them.")],
    source: Source = None,
    mirror: Mirror = None,
) -> None:
    """Fetch a public teacher of the paper's students into data/teachers, resumed and checked."""
    from ..data.fetch import ZOO
    from ..data.fetch import get_teacher as fetch

    print(fetch(name, source=source, mirror=mirror or ZOO))


@teachers.command("list")
def list_teachers(wide: Wide = False) -> None:
    """Name the teachers that are shipped with the lab, and the public ones with their files."""
    from ..configs import PUBLIC, TEACHERS, local_file
    from ..configs import teachers as shipped
    from ..files import portable_path

    files = {name: TEACHERS / f"{name}.safetensors" for name in shipped()}
    files |= {name: local_file(name) for name in PUBLIC}
    rows = []
    for name, file in files.items():
        kind = "public" if name in PUBLIC else "shipped"
        told = (kind, portable_path(file)) if file.is_file() else ("to be fetched", PUBLIC[name])
        rows.append({"name": name, "is": told[0], "from": told[1]})
    print_table(rows, {"name": "teacher", "is": "is", "from": "file or address"}, wide=wide)


@teachers.command()
def ship(
    run: Annotated[Path, Argument(help="Folder of a run that is done.")],
    name: Annotated[str, Option(help="The teacher's name in data/teachers.")],
) -> None:
    """Put a run's detector into data/teachers in half precision, with its record.

    The record says what AP to expect on scenes that nobody has seen, and within what interval.
    """
    from ..engine.teacher import ship as put

    measured = put(run, name)
    low, high = measured["interval"]
    print(
        f"{name}: AP {measured['mean']:.1f}, sd {measured['sd']:.1f} over "
        f"{len(measured['seeds'])} held-out sets; a fresh set must fall within "
        f"{low:.1f} ... {high:.1f}"
    )


@teachers.command("check")
def check_teacher(
    name: Annotated[str, Argument(help="A teacher in data/teachers.")],
    seed: Annotated[int, Option(min=0, help="Which fresh scenes to draw.")] = 2000,
) -> None:
    """Measure a shipped teacher on freshly drawn scenes against its record."""
    from ..engine.teacher import check as measure

    verdict = measure(name, seed)
    where = "inside" if verdict.inside else "OUTSIDE"
    print(f"{name}: AP {verdict.ap:.1f}, {where} {verdict.low:.1f} ... {verdict.high:.1f}")
    raise typer.Exit(0 if verdict.inside else 1)


def export(
    saved: Saved,
    out: Annotated[Path, Option(help="The .pth or .safetensors file to write.")],
    config: SavedConfig = None,
) -> None:
    """Write a detector's weights and config for stock mmdet, which needs nothing of this lab."""
    from ..engine.evaluate import export as write

    checkpoint, written = write(saved, out, config)
    if checkpoint.suffix == ".pth":
        print(f"mmdet.apis.init_detector({str(written)!r}, {str(checkpoint)!r}) opens it")
    else:
        print(f"{checkpoint}: the weights of the detector that {written} describes")


def book(
    notebooks: Annotated[
        list[str] | None, Argument(help="Which, by their numbers (04 05); all by default.")
    ] = None,
    scale: Annotated[str, Option(help="smoke (seconds), cpu or gpu.")] = "cpu",
    out: Annotated[Path, Option(help="Folder of the pages.")] = Path("build/book"),
    show: Annotated[
        bool, Option("--open/--no-open", help="Open the page where there is a desktop.")
    ] = False,
) -> None:
    """Execute the notebooks and render them; the first page, index.html, grows as they are made.

    Those that are named are made; without names, those that are not made yet, or that have changed
    since: the notebook, the package, its records or your race.
    """
    from ..notebook.book import Chapter, build_book
    from ..notebook.students import effort

    effort(scale)

    def tell(chapter: Chapter, number: int, total: int) -> None:
        name, error = chapter.cover.path.name, chapter.error
        typer.echo(f"[{number}/{total}] {name}: {chapter.seconds:.0f} s", err=False)
        if error:
            typer.echo(f"crosskd-lab: {name}, {error}", err=True)

    chapters = build_book(out, scale, only=notebooks or (), listener=tell)
    page = out / (chapters[0].cover.page if len(chapters) == 1 else "index.html")
    typer.echo(f"{page}")
    if show and (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()):
        webbrowser.open(page.resolve().as_uri())
    if any(chapter.error for chapter in chapters):
        raise typer.Exit(1)


workshop = typer.Typer(no_args_is_help=True)


@workshop.command()
def pack(
    out: Annotated[Path, Argument(help="Folder of the two editions.")],
    chapters: Annotated[
        list[str] | None, Argument(help="Which, by their numbers (01 04); all by default.")
    ] = None,
    scale: Annotated[str, Option(help="What their first cell says: smoke, cpu or gpu.")] = "cpu",
) -> None:
    """Write OUT/students without solutions, hints and answers, and OUT/instructor with them."""
    from ..notebook import workshop as room
    from ..notebook.students import effort

    effort(scale)
    made = room.pack(out, chapters or (), scale)
    print(f"{len(made)} chapters in {out / 'students'} and {out / 'instructor'}")


@workshop.command()
def wheels(out: Annotated[Path, Argument(help="Folder of the wheels.")]) -> None:
    """Fetch all wheels for machines like this one: 'make demo WHEELS=OUT' needs no network."""
    from ..notebook import workshop as room

    room.fetch_wheels(out)
    print(f"{len(list(out.glob('*.whl')))} wheels in {out}: make demo WHEELS={out}")


@workshop.command()
def collect(
    folders: Annotated[list[Path], Argument(help="Handed-in notebooks, a folder a learner.")],
    csv: Csv = None,
    wide: Wide = False,
) -> None:
    """Execute handed-in notebooks and list what their judges say. It runs the learners' code."""
    from ..notebook import workshop as room

    found = room.collect(folders)
    write_csv(found, csv)
    print_table(
        [*map(dict, found.to_dict("records"))], ("learner", "chapter", "verdict", "said"), wide=wide
    )
    right = found["verdict"].eq("right").groupby(found["learner"]).sum()
    print(", ".join(f"{who}: {count} right" for who, count in right.items()))
