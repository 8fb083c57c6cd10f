"""A few images of a COCO-format split: as records, and as a picture with boxes."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from ..errors import LabError, one_line
from .check import checked
from .coco import Record, find_split, read_pixels, sorted_categories

# Okabe and Ito's palette, told apart with any colour vision (https://jfly.uni-koeln.de/color/),
# without its black. A class takes the colour of its position; names tell apart what repeats.
HEX = "#E69F00 #56B4E9 #009E73 #F0E442 #0072B2 #D55E00 #CC79A7"
PALETTE = [ImageColor.getrgb(colour) for colour in HEX.split()]
TILE = 320  # longer side of an image in a contact sheet, pixels
_CAPTION, _GAP = 20, 6
FONT = ImageFont.load_default(13)


@dataclass(frozen=True)
class Sample:
    """An image file and its boxes.

    ``boxes`` (k, 4) are (x, y, width, height) in pixels, ``labels`` (k,) positions in ``names``,
    the classes in order of category ids.
    """

    path: Path
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    names: tuple[str, ...]


def sample(root: str | Path, split: str, count: int = 12, seed: int = 0) -> list[Sample]:
    """`count` good images of a split, chosen by `seed`, with their boxes; LabError for too few.

    Fewer images of a seed are a part of more of them.
    """
    found = find_split(root, split)
    _, document = checked(found, skip_bad=True, read_images=False)
    images = document["images"]
    if not 1 <= count <= len(images):
        has = f"{found.annotations} has {len(images)} that can be used"
        raise LabError(f"{count} images were asked for; {has}; give 1 to {len(images)}")

    def rank(image: Record) -> bytes:  # of the id and the seed alone, so it stays the same for ever
        return hashlib.sha256(f"{seed} {image['id']}".encode()).digest()

    labels = {c["id"]: k for k, c in enumerate(sorted_categories(document))}
    names = {c["id"]: c["name"] for c in document["categories"]}
    samples = []
    for image in sorted(images, key=rank)[:count]:
        boxes = [box for box in document["annotations"] if box["image_id"] == image["id"]]
        samples.append(
            Sample(
                found.images / image["file_name"],
                np.array([box["bbox"] for box in boxes], dtype=np.float64).reshape(-1, 4),
                np.array([labels[box["category_id"]] for box in boxes], dtype=np.int64),
                tuple(names[box["category_id"]] for box in boxes),
            )
        )
    return samples


def draw_samples(root: str | Path, split: str, count: int = 12, seed: int = 0) -> NDArray[np.uint8]:
    """A contact sheet (H, W, 3) RGB of `count` images with their boxes and class names."""
    tiles = [_tile(one) for one in sample(root, split, count, seed)]
    sheet = contact_sheet(tiles, math.ceil(math.sqrt(count)), _GAP)
    return np.asarray(ImageOps.expand(sheet, _GAP, "white"))


def contact_sheet(tiles: Sequence[Image.Image], columns: int, gap: int) -> Image.Image:
    """Pictures as one, in the order given, row by row, with ``gap`` pixels between them."""
    rows = [tiles[k : k + columns] for k in range(0, len(tiles), columns)]
    widths = [sum(tile.width + gap for tile in row) - gap for row in rows]
    heights = [max(tile.height for tile in row) for row in rows]
    whole = Image.new("RGB", (max(widths), sum(heights) + gap * (len(rows) - 1)), "white")
    for k, row in enumerate(rows):
        left, top = 0, sum(heights[:k]) + gap * k
        for tile in row:
            whole.paste(tile, (left, top))
            left += tile.width + gap
    return whole


def _tile(one: Sample) -> Image.Image:
    picture = Image.fromarray(read_pixels(one.path))
    scale = TILE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    tile = Image.new("RGB", (TILE, height + _CAPTION), "white")
    tile.paste(picture.resize((width, height), Image.Resampling.BICUBIC))
    draw = ImageDraw.Draw(tile)
    draw.text((2, height + 2), one_line(one.path.name, 400), fill="black", font=FONT)
    order = np.argsort(-one.boxes[:, 2] * one.boxes[:, 3])  # small boxes on top, names above all
    colours = [PALETTE[label % len(PALETTE)] for label in one.labels]
    for k in order:
        x, y, wide, high = one.boxes[k] * scale
        draw.rectangle((x - 2, y - 2, x + wide + 1, y + high + 1), outline="black", width=4)
        draw.rectangle((x - 1, y - 1, x + wide, y + high), outline=colours[k], width=2)
    for k in order:
        _draw_name(draw, one.boxes[k] * scale, colours[k], one.names[k], width)
    return tile


def _draw_name(
    draw: ImageDraw.ImageDraw, box: NDArray, colour: tuple[int, ...], name: str, width: int
) -> None:
    """The class name above the box, or inside where there is no room, on the class's colour."""
    _, _, right, bottom = FONT.getbbox(name)
    x = min(max(box[0] - 2, 0), max(0, width - right - 4))
    y = box[1] - bottom - 4 if box[1] >= bottom + 4 else box[1]
    draw.rectangle((x, y, x + right + 4, y + bottom + 3), fill=colour)
    draw.text((x + 2, y + 1), name, fill="black" if colour[1] > 115 else "white", font=FONT)
