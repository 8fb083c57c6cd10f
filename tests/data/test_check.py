"""The report, what is put right in passing, and real sets."""

import json

import pytest

from crosskd_lab.data.check import check, clean
from crosskd_lab.data.coco import find_splits, read_classes
from crosskd_lab.errors import LabError


def spoil_three(tiny):
    tiny.image("b.png").unlink()
    tiny.document["annotations"][0]["category_id"] = 4
    tiny.document["annotations"][1]["bbox"] = [5, 6, 0, 8]
    tiny.save()


def test_the_error_counts_what_follows(tiny):
    spoil_three(tiny)
    with pytest.raises(LabError, match=r"image 2 \(b.png\): .*; 2 more bad records; correct them"):
        check(tiny.root, "val")


def test_the_report_names_each_and_counts_them_in_a_line(tiny):
    spoil_three(tiny)
    report = check(tiny.root, "val", skip_bad=True)
    assert report.summary() == (
        "val: left out 1 of 3 images and 3 of 3 boxes "
        "(1 missing image, 1 unknown category, 1 box without area); "
        "training sees 0 boxes on 0 images: nothing to learn, and no AP to measure"
    )
    assert [(problem.kind, problem.record) for problem in report.problems] == [
        ("missing image", "image 2 (b.png)"),
        ("unknown category", "annotation 1 on a.jpg"),
        ("box without area", "annotation 2 on a.jpg"),
    ]


def test_a_set_with_no_good_image_is_no_set(tiny):
    for name in ("a.jpg", "b.png", "none.jpg"):
        tiny.image(name).unlink()
    with pytest.raises(LabError, match=r"no image can be used; there is no file .*a.jpg"):
        check(tiny.root, "val", skip_bad=True)


def test_a_sound_set_is_used_as_it_is(tiny, tmp_path):
    split, report = clean(tiny.root, "val", tmp_path / "cache", skip_bad=False)
    assert split.annotations == tiny.annotations and not report.problems
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("inside", ["images", "annotations", "images/deeper"])
def test_nothing_is_written_inside_the_set(tiny, inside):
    spoil_three(tiny)
    before = tiny.tree()
    with pytest.raises(LabError, match="is inside the data set"):
        clean(tiny.root, "val", tiny.root / inside)
    assert tiny.tree() == before


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"bbox": [-0.5, 29, 3, 1.5]}, {"bbox": [0, 29, 2.5, 1]}),
        ({"bbox": [39, 1, 1.25, 2]}, {"bbox": [39, 1, 1, 2]}),
        ({"area": None}, {"area": 56}),
        ({"area": 0}, {"area": 56}),
        ({"area": float("nan")}, {"area": 56}),
        ({"area": 1e12}, {"area": 56}),  # the evaluation leaves out what is larger than 1e10
        ({"area": "50"}, {"area": 56}),
        ({"iscrowd": None}, {"iscrowd": 0}),
        ({"iscrowd": ""}, {"iscrowd": 0}),
        ({"iscrowd": "0"}, {"iscrowd": 0}),
    ],
)
def test_what_can_be_put_right_is(tiny, tmp_path, change, expected):
    tiny.document["annotations"][1].update(change)
    tiny.save()
    split, report = clean(tiny.root, "val", tmp_path / "cache", skip_bad=False)
    assert not report.problems and report.repaired == 1
    assert report.summary() == (
        "val: 3 images, 3 boxes, no bad record; 1 record put right; "
        "training sees 2 boxes on 2 images and ignores 1 crowd"
    )
    right = json.loads(split.annotations.read_text())["annotations"]
    assert right[1] == {**tiny.document["annotations"][1], **expected}
    assert right[0] == tiny.document["annotations"][0]


@pytest.mark.parametrize("change", [{"ignore": 1}, {"ignore": "1"}, {"iscrowd": "1"}])
def test_what_is_to_be_ignored_is_a_crowd_for_all(tiny, tmp_path, change):
    tiny.document["annotations"][1].update(change)
    tiny.save()
    split, report = clean(tiny.root, "val", tmp_path / "cache", skip_bad=False)
    right = json.loads(split.annotations.read_text())["annotations"][1]
    assert right["iscrowd"] == 1 and "ignore" not in right
    assert (report.boxes_kept, report.boxes_seen, report.repaired) == (3, 1, 1)


def test_a_mark_that_says_no_is_left_as_it_is(tiny, tmp_path):
    tiny.document["annotations"][1]["ignore"] = 0
    tiny.save()
    split, _ = clean(tiny.root, "val", tmp_path / "cache", skip_bad=False)
    assert split.annotations == tiny.annotations


@pytest.mark.parametrize("number", [0, -1, 5, 2**63, None, "2"])
def test_annotations_are_numbered_anew_where_a_number_is_no_good(tiny, tmp_path, number):
    tiny.document["annotations"][1]["id"] = number
    tiny.save()
    split, report = clean(tiny.root, "val", tmp_path / "cache", skip_bad=False)
    right = json.loads(split.annotations.read_text())["annotations"]
    assert [box["id"] for box in right] == [1, 2, 3] and report.boxes_kept == 3
    assert [box["bbox"] for box in right] == [box["bbox"] for box in tiny.document["annotations"]]


def test_images_are_numbered_anew_where_a_number_is_too_large(tiny, tmp_path):
    tiny.document["images"][1]["id"] = tiny.document["annotations"][2]["image_id"] = 2**64 - 1
    tiny.save()
    split, _ = clean(tiny.root, "val", tmp_path / "cache", skip_bad=False)
    right = json.loads(split.annotations.read_text())
    assert [image["id"] for image in right["images"]] == [1, 2, 3]
    assert [box["image_id"] for box in right["annotations"]] == [1, 1, 2]


def test_images_told_by_texts_are_numbered(tiny, tmp_path):
    names = {1: "000001", 2: "b", 9: "000003"}
    for image in tiny.document["images"]:
        image["id"] = names[image["id"]]
    for box in tiny.document["annotations"]:
        box["image_id"] = names[box["image_id"]]
    tiny.save()
    split, report = clean(tiny.root, "val", tmp_path / "cache", skip_bad=False)
    right = json.loads(split.annotations.read_text())
    assert [image["id"] for image in right["images"]] == [1, 2, 3]
    assert [box["image_id"] for box in right["annotations"]] == [1, 1, 2]
    assert report.repaired == 6 and not report.problems


def test_images_put_right_in_place_change_no_file_that_a_run_reads(tiny, tmp_path):
    """Equal annotations, other images: what a run was trained and measured on stays as it was."""
    image = tiny.root / "images" / tiny.document["images"][0]["file_name"]
    whole = image.read_bytes()
    image.write_bytes(b"")
    first, report = clean(tiny.root, "val", tmp_path / "cache")
    assert report.images_kept == 2
    said = first.annotations.read_bytes()
    image.write_bytes(whole)
    other = tiny.root / "images" / tiny.document["images"][1]["file_name"]
    other.write_bytes(b"")
    second, _ = clean(tiny.root, "val", tmp_path / "cache")
    assert second.annotations != first.annotations and first.annotations.read_bytes() == said
    other.write_bytes(whole)  # another size
    third, report = clean(tiny.root, "val", tmp_path / "cache")
    assert "wrong size" in {problem.kind for problem in report.problems}
    assert third.annotations == second.annotations, "the same images are left out"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-8"])
def test_any_encoding_of_json_ends_as_plain_text(tiny, tmp_path, encoding):
    tiny.document["categories"][0]["name"] = "cão"
    tiny.annotations.write_text(json.dumps(tiny.document, ensure_ascii=False), encoding)
    split, report = clean(tiny.root, "val", tmp_path / "cache", skip_bad=False)
    assert not report.problems and not report.repaired
    assert json.loads(split.annotations.read_text("ascii")) == tiny.document


def test_missing_area_and_crowd_mark_are_filled_in_and_other_keys_stay(tiny, tmp_path):
    box = {"id": 2, "image_id": 1, "category_id": 5, "bbox": [5, 6, 7, 8], "note": "mine"}
    tiny.document["annotations"][1] = box
    tiny.document["info"] = {"year": 2026}
    tiny.save()
    split, _ = clean(tiny.root, "val", tmp_path / "cache")
    document = json.loads(split.annotations.read_text())
    assert document["annotations"][1] == {**box, "area": 56, "iscrowd": 0}
    assert document["annotations"][2]["iscrowd"] == 1
    assert document["info"] == {"year": 2026}


def test_categories_are_put_in_the_order_of_their_ids(tiny, tmp_path):
    tiny.document["categories"].reverse()
    tiny.save()
    split, report = clean(tiny.root, "val", tmp_path / "cache")
    document = json.loads(split.annotations.read_text())
    assert [category["id"] for category in document["categories"]] == [3, 5]
    assert report.repaired == 2 and document["annotations"] == tiny.document["annotations"]


def test_our_scenes_are_sound(scenes_dir):
    assert [split.name for split in find_splits(scenes_dir)] == ["train", "val"]
    for split, count in (("train", 24), ("val", 8)):
        report = check(scenes_dir, split)
        assert (report.images, report.problems, report.repaired) == (count, (), 0)


@pytest.mark.parametrize(
    "name, splits, classes",
    [
        ("bccd", ["train", "val", "test"], ("RBC", "WBC", "Platelets")),
        ("coco-free", ["train", "val"], 80),
    ],
)
def test_real_sets_are_found_and_checked(real_data, name, splits, classes):
    found = find_splits(real_data / name)
    assert [split.name for split in found] == splits
    for split in found:
        named = read_classes(split.annotations)
        assert (len(named) if isinstance(classes, int) else named) == classes
        document = json.loads(split.annotations.read_text())
        report = check(real_data / name, split.name)
        assert (report.images, report.boxes) == tuple(
            len(document[part]) for part in ("images", "annotations")
        )
