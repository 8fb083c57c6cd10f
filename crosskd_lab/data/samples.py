"""A few images of a COCO-format split as a picture with boxes."""

import hashlib
import math
from collections.abc import Sequence
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


def chosen(images: Sequence[Record], count: int, seed: int) -> list[Record]:
    """`count` image records, chosen by `seed`; fewer of a seed are a part of more of them."""

    def rank(image: Record) -> bytes:  # of the id and the seed alone, so it stays the same for ever
        return hashlib.sha256(f"{seed} {image['id']}".encode()).digest()

    return sorted(images, key=rank)[:count]


def draw_samples(root: str | Path, split: str, count: int = 12, seed: int = 0) -> NDArray[np.uint8]:
    """A contact sheet (H, W, 3) RGB of `count` good images with their boxes and class names.

    LabError where the split has fewer.
    """
    found = find_split(root, split)
    _, document = checked(found, skip_bad=True, read_images=False)
    images = document["images"]
    if not 1 <= count <= len(images):
        has = f"{found.annotations} has {len(images)} that can be used"
        raise LabError(f"{count} images were asked for; {has}; give 1 to {len(images)}")
    tiles = []
    for image in chosen(images, count, seed):
        boxes = [box for box in document["annotations"] if box["image_id"] == image["id"]]
        tiles.append(_tile(found.images / image["file_name"], boxes, sorted_categories(document)))
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


def _tile(path: Path, boxes: list[Record], categories: list[Record]) -> Image.Image:
    """An image with its boxes, small ones on top and names above all, in the classes' colours."""
    picture = Image.fromarray(read_pixels(path))
    scale = TILE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    tile = Image.new("RGB", (TILE, height + _CAPTION), "white")
    tile.paste(picture.resize((width, height), Image.Resampling.BICUBIC))
    draw = ImageDraw.Draw(tile)
    draw.text((2, height + 2), one_line(path.name, 400), fill="black", font=FONT)
    classes = {c["id"]: (PALETTE[k % len(PALETTE)], c["name"]) for k, c in enumerate(categories)}
    drawn = []
    for box in sorted(boxes, key=lambda box: -box["bbox"][2] * box["bbox"][3]):
        x, y, wide, high = at = [number * scale for number in box["bbox"]]
        colour, name = classes[box["category_id"]]
        draw.rectangle((x - 2, y - 2, x + wide + 1, y + high + 1), outline="black", width=4)
        draw.rectangle((x - 1, y - 1, x + wide, y + high), outline=colour, width=2)
        drawn.append((at, colour, name))
    for at, colour, name in drawn:
        _draw_name(draw, at, colour, name, width)
    return tile


def _draw_name(
    draw: ImageDraw.ImageDraw, box: list[float], colour: tuple[int, ...], name: str, width: int
) -> None:
    """The class name above the box, or inside where there is no room, on the class's colour."""
    _, _, right, bottom = FONT.getbbox(name)
    x = min(max(box[0] - 2, 0), max(0, width - right - 4))
    y = box[1] - bottom - 4 if box[1] >= bottom + 4 else box[1]
    draw.rectangle((x, y, x + right + 4, y + bottom + 3), fill=colour)
    draw.text((x + 2, y + 1), name, fill="black" if colour[1] > 115 else "white", font=FONT)
