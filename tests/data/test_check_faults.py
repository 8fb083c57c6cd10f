"""Every kind of bad record: named with file and record, or left out and counted."""

import json
import math

import pytest
from PIL import Image

from crosskd_lab.data.check import check, checked, clean
from crosskd_lab.data.coco import find_split
from crosskd_lab.errors import LabError


def cut_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit(part, index, **change):
    return lambda tiny: tiny.document[part][index].update(change)


# What breaks the tiny set of 3 images and 3 boxes; the kind; words of the line; what is left.
CASES = {
    "image gone": (
        lambda tiny: tiny.image("a.jpg").unlink(),
        ("missing image", r"image 1 \(a.jpg\): there is no file .*a.jpg"),
        (2, 1),
    ),
    "name of two lines": (
        edit("images", 1, file_name="a\nb\x07"),
        ("missing image", r"image 2 \(a b\\x07\): there is no file .*a b\\x07"),
        (2, 2),
    ),
    "JPEG truncated": (
        lambda tiny: cut_half(tiny.image("a.jpg")),
        ("unreadable image", r"image 1 \(a.jpg\): .*a.jpg cannot be decoded \(.*truncated"),
        (2, 1),
    ),
    "image no image": (
        lambda tiny: tiny.image("a.jpg").write_text("<html>404</html>"),
        ("unreadable image", r"image 1 \(a.jpg\): .*cannot be decoded"),
        (2, 1),
    ),
    "size differs": (
        edit("images", 1, width=50, height=20),
        ("wrong size", r"image 2 .*is 20 x 50 pixels, the record says 50 x 20"),
        (2, 2),
    ),
    "a slim image": (
        edit("images", 1, width=20, height=1001),
        ("slim image", "of its 20 x 1001 pixels nothing is left when resized"),
        (2, 2),
    ),
    "no width": (
        lambda tiny: tiny.document["images"][1].pop("width"),
        ("missing key", r'image 2 \(b.png\): it has no "width"'),
        (2, 2),
    ),
    "id no id": (
        edit("images", 1, id=2.5),
        ("bad value", r"images\[1\]: its \"id\" is 2.5"),
        (2, 2),
    ),
    "id a text for one and a number for another": (
        edit("images", 1, id="2"),
        ("unknown image", r"annotation 5: no proper image record has the id 2"),
        (3, 2),
    ),
    "id of two images": (
        edit("images", 2, id=1),
        ("duplicate id", r"image 1 \(a.jpg\): 2 images have its id"),
        (1, 1),
    ),
    "image no object": (
        lambda tiny: tiny.document["images"].append(5),
        ("bad record", r"images\[3\]: .*no JSON object"),
        (3, 3),
    ),
    "no category": (
        edit("annotations", 1, category_id=4),
        ("unknown category", "annotation 2 on a.jpg: no category has the id 4"),
        (3, 2),
    ),
    **{
        f"box {change}": (edit("annotations", 1, **change), (kind, words), (3, 2))
        for change, kind, words in (
            ({"bbox": [1, 2, 3]}, "bad box", r"box \[1, 2, 3\] is not four finite numbers"),
            ({"bbox": [0, 0, math.nan, 2]}, "bad box", "nan.* finite"),
            ({"bbox": ["0", 0, 1, 1]}, "bad box", "finite"),
            ({"bbox": [3, 3, 0, 5]}, "box without area", r"\[3, 3, 0, 5\] .* has no area"),
            ({"bbox": [3, 3, 5, -1]}, "box without area", "has no area"),
            ({"bbox": [30, 3, 11, 5]}, "box outside image", "leaves the 40 x 30 image"),
            ({"bbox": [3, -1, 5, 5]}, "box outside image", "leaves the 40 x 30 image"),
            ({"bbox": [0.1, 0.2, 0.5, 0.5]}, "box below a pixel", "give pixels, not shares"),
            ({"bbox": [0, 0, 1, 1]}, "box below a pixel", "give pixels, not shares"),
            ({"bbox": [39.5, 3, 1.25, 5]}, "box below a pixel", "too small for training"),
            ({"bbox": [40, 3, 0.5, 5]}, "box below a pixel", "too small for training"),
            ({"iscrowd": 2}, "bad value", 'its "iscrowd" is 2, neither 0 nor 1'),
        )
    },
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_record_is_named_in_one_line(tiny, case):
    spoil, (_, words), _ = CASES[case]
    spoil(tiny)
    tiny.save()
    with pytest.raises(LabError, match=words) as error:
        check(tiny.root, "val")
    line = str(error.value)
    assert line.startswith(f"{tiny.annotations}: ") and "\n" not in line
    assert line.endswith("correct them, or give --skip-bad to leave them out")


@pytest.mark.parametrize("case", CASES)
def test_a_bad_record_is_left_out_and_reported(tiny, case, tmp_path):
    spoil, (kind, _), kept = CASES[case]
    spoil(tiny)
    tiny.save()
    before = tiny.tree()
    split, report = clean(tiny.root, "val", tmp_path / "cache")
    assert kind in {problem.kind for problem in report.problems}
    assert (report.images_kept, report.boxes_kept) == kept
    document = json.loads(split.annotations.read_text())
    assert (len(document["images"]), len(document["annotations"])) == kept
    assert split.annotations.parent == tmp_path / "cache"
    assert tiny.tree() == before
    again = check(tiny.root, "val", skip_bad=True)
    assert again == report


def test_sound_things_are_sound(tiny):
    report = check(tiny.root, "val")
    assert (report.problems, report.images, report.boxes, report.repaired) == ((), 3, 3, 0)
    assert report.summary() == (
        "val: 3 images, 3 boxes, no bad record; training sees 2 boxes on 2 images and ignores "
        "1 crowd"
    )


def test_a_photo_on_its_side_has_the_size_it_is_shown_with(tiny):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to show
    Image.new("RGB", (40, 30)).save(tiny.image("a.jpg"), exif=exif)
    with pytest.raises(LabError, match="is 30 x 40 pixels, the record says 40 x 30"):
        check(tiny.root, "val")
    tiny.document["images"][0].update(width=30, height=40)
    tiny.document["annotations"][0]["bbox"] = [0, 0, 30, 40]
    tiny.save()
    assert check(tiny.root, "val").problems == ()


def test_without_reading_images_their_pixels_are_taken_on_trust(tiny):
    cut_half(tiny.image("a.jpg"))
    split = find_split(tiny.root, "val")
    assert checked(split, skip_bad=False, read_images=False)[0].problems == ()
    tiny.image("a.jpg").unlink()
    with pytest.raises(LabError, match="there is no file"):
        checked(split, skip_bad=False, read_images=False)
