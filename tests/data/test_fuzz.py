"""Five hundred ways to spoil a set: check and loader agree, or one line names file and record."""

import copy
import gc
import io
import os
import random
import signal
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from mmdet.registry import DATASETS
from mmengine.registry import DefaultScope
from PIL import Image
from pycocotools.coco import COCO

from crosskd_lab.data.check import check, clean
from crosskd_lab.data.coco import read_classes
from crosskd_lab.engine.metrics import average_precision
from crosskd_lab.engine.schedule import split_dataset
from crosskd_lab.engine.train import prepare_engine
from crosskd_lab.errors import LabError

MUTATIONS, HANGS_AFTER = 500, 20  # seconds
RUBBISH: list[Any] = [
    *(None, True, False, 0, 1, 2, -1, 0.5, 1e-9, -0.0, 40, 41, 2**31, 2**53, 2**63, 2**64, 10**399),
    *(float("nan"), float("inf"), float("-inf"), 1e300, "", "0", "1", "2", "é\u202f", "a\nb", "\0"),
    *("\ud800", "x" * 300, "/etc/passwd", "../images/a.jpg", "./a.jpg", "images", "a.jpg/", "\\"),
    *("http://a.jpg", [], {}, [[]], [None], {"a": []}, [0, 0, 1, 1], [0.1, 0.1, 0.2, 0.2]),
    *([1, 2, 3, 4, 5], ["0", 0, 1, 1], [1, 1, 10**399, 2], [39.5, 1, 1.2, 5], [3, 3, 0.9, 9]),
]


def places(node):
    """Every container in a document with each key or index that it has."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from places(node[key])


def spoil_document(document, chance):
    """Change one place of the parsed annotation file."""
    node, key = chance.choice(list(places(document)))
    how = chance.randrange(8)
    if how == 0:
        del node[key]
    elif how == 1 and isinstance(node, list):
        node.insert(chance.randrange(len(node) + 1), copy.deepcopy(node[key]))
    elif how == 2 and isinstance(node, list):
        node.insert(chance.randrange(len(node) + 1), chance.choice(RUBBISH))
    elif how == 3:
        box = chance.choice([n for n, _ in places(document) if isinstance(n, dict)])
        mark = chance.choice(["iscrowd", "ignore", "area", "id", "bbox", "score"])
        box[mark] = chance.choice(RUBBISH)
    elif how == 4:
        other, place = chance.choice(list(places(document)))
        node[key] = copy.deepcopy(other[place])
    else:
        node[key] = chance.choice(RUBBISH)


def spoil_bytes(raw, chance):
    """A file cut, flipped, filled or in another encoding."""
    at, how = chance.randrange(len(raw)), chance.randrange(6)
    if how == 0:
        return raw[:at]
    if how == 1:
        return raw[:at] + bytes([raw[at] ^ 1 << chance.randrange(8)]) + raw[at + 1 :]
    if how == 2:
        return raw[:at] + chance.randbytes(8) + raw[at + 8 :]
    if how == 3:
        return chance.choice([b"", b"[" * 100_000, b"null", b"\xff\xfe", b"<html>", b"9" * 5000])
    text = raw.decode("latin-1")
    return text.encode(chance.choice(["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-8"]))


def spoil_image(path, chance):
    """The file replaced by another kind of image, by no image or by no file."""
    how, picture = chance.randrange(12), Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
    if how <= 2:
        path.write_bytes(spoil_bytes(path.read_bytes(), chance))
        return
    path.unlink()
    if how <= 6:
        kinds = ["TGA", "GIF", "BMP", "WEBP", "AVIF", "PCX", "PPM", "TIFF", "ICO"]
        picture.save(path, chance.choice(kinds))
    elif how <= 8:
        mode = chance.choice(["1", "L", "LA", "P", "RGBA", "I", "F", "I;16"])
        picture.convert("L" if mode in ("I", "F", "I;16") else mode).convert(mode).save(
            path, "TIFF" if mode in ("I", "F") else "PNG"
        )
    elif how == 9:
        exif = Image.Exif()
        exif[0x0112] = chance.randrange(10)
        picture.save(path, chance.choice(["JPEG", "PNG", "WEBP", "AVIF"]), exif=exif)
    elif how == 10:
        Image.new("RGB", chance.choice([(1, 900), (900, 1), (1, 1), (41, 30)])).save(path, "PNG")
    else:
        chance.choice(
            [
                path.mkdir,
                lambda: os.mkfifo(path),
                lambda: path.symlink_to(path.name),
                lambda: path.symlink_to("none.jpg"),
                lambda: path.symlink_to("/dev/zero"),
            ]
        )()


def spoil(tiny, seed):
    """The mutation of a seed: of the document, of the file's bytes or of an image."""
    chance = random.Random(seed)
    kind = chance.randrange(10)
    if kind < 6:
        for _ in range(chance.choice([1, 1, 2])):
            spoil_document(tiny.document, chance)
        tiny.save()
    elif kind == 6:
        tiny.annotations.write_bytes(spoil_bytes(tiny.annotations.read_bytes(), chance))
    else:
        spoil_image(tiny.image(chance.choice(["a.jpg", "b.png", "none.jpg"])), chance)


def loaded(split, train):
    """The split as a training or an evaluation loads it."""
    place = {"annotations": str(split.annotations), "images": str(split.images)}
    data = {"size": 32, "classes": read_classes(split.annotations), "val": place}
    with redirect_stdout(io.StringIO()), DefaultScope.overwrite_default_scope("mmdet"):
        return DATASETS.build(split_dataset(data, "val", train))


def assert_loads(split, report):
    """The loaders have what the report says, and a perfect detector finds all of it."""
    held = loaded(split, train=False)
    assert len(held) == report.images_kept
    boxes, crowds = [], 0
    for index in range(len(held)):
        info = held.get_data_info(index)
        item = held[index]["data_samples"]
        assert item.ori_shape == (info["height"], info["width"])
        objects = [box for box in info["instances"] if not box["ignore_flag"]]
        assert len(item.gt_instances) == len(objects)
        crowds += len(info["instances"]) - len(objects)
        boxes += [(info["img_id"], box["bbox_label"], box["bbox"]) for box in objects]
    assert (len(boxes), len(boxes) + crowds) == (report.boxes_seen, report.boxes_kept)
    if not boxes:  # such a training set is refused
        return
    learnt = loaded(split, train=True)
    assert len(learnt) == report.images_seen
    assert sum(len(learnt[k]["data_samples"].gt_instances) for k in range(len(learnt))) == len(
        boxes
    )
    with redirect_stdout(io.StringIO()):
        truth = COCO(str(split.annotations))
    found = [
        dict(image_id=i, category_id=truth.getCatIds()[k], bbox=[x, y, r - x, b - y], score=1.0)
        for i, k, (x, y, r, b) in boxes
    ]
    assert average_precision(truth, found)["AP"] == pytest.approx(100)


def outcome(tiny, cache):
    """How check and loader end on a spoilt set, in two or three words."""
    try:
        strict = check(tiny.root, "val")
    except LabError as error:
        strict, line = None, str(error)
        assert "\n" not in line and line.isprintable() and len(line) < 2000
        assert str(tiny.annotations) in line
        assert tiny.annotations.is_file()
    try:
        split, report = clean(tiny.root, "val", cache)
    except LabError as error:
        assert strict is None and str(tiny.annotations) in str(error)
        return "refused as a whole"
    assert (strict is None) == bool(report.problems)
    if report.problems:
        assert f"{report.problems[0].record}: {report.problems[0].detail}" in line
        assert report.problems[0].record.startswith(("image", "annotation"))
    assert_loads(split, report)
    if report.problems:
        return f"named: {report.problems[0].kind}"
    return "right as given" if split.annotations == tiny.annotations else "put right"


def test_every_mutation_ends_right_or_in_one_line(make_tiny, tmp_path, capsys):
    prepare_engine()
    ends = Counter()

    def hang(*_: object) -> None:
        raise AssertionError("it hangs")

    signal.signal(signal.SIGALRM, hang)
    gc.freeze()  # mmengine collects for each set; all that torch made need not be walked again
    wrong = []
    for seed in range(MUTATIONS):
        tiny = make_tiny(tmp_path / str(seed))
        spoil(tiny, seed)
        signal.alarm(HANGS_AFTER)
        try:
            ends[outcome(tiny, tmp_path / "cache" / str(seed))] += 1
        except Exception as error:  # all of them are wanted, with their seeds
            wrong.append(f"{seed}: {type(error).__name__}: {str(error)[:300]}")
        finally:
            signal.alarm(0)
    gc.unfreeze()
    with capsys.disabled():
        print(f"\n{MUTATIONS} mutations of a set, by how check and loader end:")
        for end, count in ends.most_common():
            print(f"{count:4d} {'#' * (count // 4 + 1):<40} {end}")
    assert not wrong, "\n".join(wrong)
    assert sum(ends.values()) == MUTATIONS


@pytest.mark.parametrize(
    "name", ["ABSOLUTE", "../images/a.jpg", "./a.jpg", "a.jpg/", "odd://a.jpg", "é\u202f 猫.jpg"]
)
def test_any_name_that_stands_for_a_file_is_loaded(tiny, name, tmp_path):
    prepare_engine()
    name = str(tiny.image("a.jpg")) if name == "ABSOLUTE" else name
    held = Path(os.path.normpath(tiny.image(name)))
    if not held.exists():
        held.parent.mkdir(exist_ok=True)
        tiny.image("a.jpg").rename(held)
    tiny.document["images"][0]["file_name"] = name
    tiny.save()
    split, report = clean(tiny.root, "val", tmp_path / "cache", skip_bad=False)
    assert (report.images_kept, report.boxes_seen) == (3, 2)
    assert_loads(split, report)
