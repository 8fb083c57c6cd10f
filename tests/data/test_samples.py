"""Choices that nest, and a contact sheet that shows the right boxes."""

import numpy as np
import pytest
from PIL import Image

from crosskd_lab.data.samples import PALETTE, TILE, chosen, draw_samples
from crosskd_lab.errors import LabError

SCENES = [{"id": number + 1} for number in range(24)]


def ids(count, seed):
    return {image["id"] for image in chosen(SCENES, count, seed)}


def test_fewer_images_of_a_seed_are_a_part_of_more():
    small, large = ids(5, 1), ids(11, 1)
    assert (len(small), len(large)) == (5, 11) and small < large


def test_seeds_choose_differently_and_for_ever_alike():
    assert ids(4, 0) == {4, 6, 14, 17}
    assert ids(4, 1) == {1, 16, 20, 24}


@pytest.mark.parametrize("count", [0, 4])
def test_a_count_out_of_range_is_named(tiny, count):
    with pytest.raises(LabError, match=rf"{count} images were asked for; .*give 1 to 3"):
        draw_samples(tiny.root, "val", count)


def test_the_sheet_shows_each_box_where_it_is(tiny):
    Image.new("RGB", (40, 30), (90, 90, 90)).save(tiny.image("a.jpg"))
    for name in ("b.png", "none.jpg"):  # bad records are not drawn
        tiny.image(name).unlink()
    tiny.document["categories"].reverse()  # colours follow ids, whatever the order in the file
    tiny.save()
    sheet = draw_samples(tiny.root, "val", 1)
    assert sheet.dtype == np.uint8 and sheet.shape[1] == TILE + 12
    scale, gap = TILE / 40, 6
    for (x, y, w, h), colour in (([0, 0, 40, 30], PALETTE[0]), ([5, 6, 7, 8], PALETTE[1])):
        row = gap + round((y + h) * scale) - 1 * (y == 0)  # the lower edge, free of names
        edge = sheet[row, gap + round(x * scale) + 4 : gap + round((x + w) * scale) - 4]
        assert (edge == colour).all(axis=-1).mean() > 0.95
    middle = sheet[gap + 200, gap + 250]
    assert np.abs(middle.astype(int) - 90).max() <= 3


def test_sheets_have_room_for_all_and_the_same_seed_the_same_pixels(scenes_dir):
    sheet = draw_samples(scenes_dir, "val", 5, seed=2)
    assert sheet.shape == (2 * (TILE + 20 + 6) + 6, 3 * (TILE + 6) + 6, 3)
    assert np.array_equal(sheet, draw_samples(scenes_dir, "val", 5, seed=2))
    assert not np.array_equal(sheet, draw_samples(scenes_dir, "val", 5, seed=3))


def test_an_undecodable_image_is_named(tiny):
    for image in tiny.document["images"]:
        tiny.image(image["file_name"]).write_text("no image")
    with pytest.raises(LabError, match="cannot be decoded"):
        draw_samples(tiny.root, "val", 1)


@pytest.mark.parametrize("name", ["bccd", "coco-free"])
def test_real_sets_can_be_drawn(real_data, name):
    sheet = draw_samples(real_data / name, "val", 4)
    drawn = {tuple(colour) for colour in sheet.reshape(-1, 3)} & set(PALETTE)
    assert drawn and sheet.shape[1] == 2 * (TILE + 6) + 6
