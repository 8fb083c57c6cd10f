"""Draws: what image and augmentation training sees at a step depends on nothing but its number."""

import json
import random
from itertools import islice

import numpy as np
import pytest

from crosskd_lab.engine import draws
from crosskd_lab.engine.draws import Draws, DrawSampler, NamedSet
from crosskd_lab.errors import LabError


class Noisy:
    """Seven items, each with random numbers of both generators that transforms draw from."""

    metainfo = {"classes": ("a",)}

    def __init__(self, size: int = 7) -> None:
        self.size = size

    def full_init(self) -> None:
        pass

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[int, float, float]:
        return index, float(np.random.rand()), random.random()  # noqa: NPY002


def sampler(monkeypatch, rank, world, start=0):
    """A sampler as process ``rank`` of ``world`` builds it."""
    monkeypatch.setattr(draws, "get_dist_info", lambda: (rank, world))
    made = DrawSampler(Noisy())
    made.start = start
    return made


def first(numbers, count):
    return list(islice(iter(numbers), count))


def test_an_epoch_is_a_permutation_and_the_next_another():
    data = Draws(Noisy(), seed=5)
    epochs = [[data[draw][0] for draw in range(7 * e, 7 * e + 7)] for e in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 3
    other = Draws(Noisy(), seed=6)
    assert [other[draw][0] for draw in range(7)] != epochs[0]


def test_a_draw_is_the_same_whatever_came_before():
    ordered = [Draws(Noisy(), seed=1)[draw] for draw in range(20)]
    data = Draws(Noisy(), seed=1)
    np.random.seed(99)  # noqa: NPY002
    random.seed(99)
    assert [data[draw] for draw in reversed(range(20))] == ordered[::-1]
    assert len({value for _, value, _ in ordered}) == 20  # an image is augmented anew each time


def test_two_processes_share_the_draws_of_one(monkeypatch):
    one = first(sampler(monkeypatch, 0, 1), 12)
    halves = [first(sampler(monkeypatch, rank, 2), 6) for rank in range(2)]
    assert one == list(range(12))
    for step in range(3):  # 2 images a step in each process, or 4 in one
        shared = [draw for half in halves for draw in half[2 * step : 2 * step + 2]]
        assert sorted(shared) == one[4 * step : 4 * step + 4]


@pytest.mark.parametrize("world", [1, 2])
def test_a_sampler_that_starts_later_goes_on(monkeypatch, world):
    for rank in range(world):
        whole = first(sampler(monkeypatch, rank, world), 10)
        assert first(sampler(monkeypatch, rank, world, start=4), 6) == whole[4:]


def written(folder, boxes, names):
    """An annotation file of two images; a box is (category id, iscrowd), all on image 1."""
    image = {"width": 20, "height": 20}
    document = {
        "images": [{"id": k, "file_name": f"{k}.png", **image} for k in (1, 2)],
        "categories": [{"id": key, "name": name} for key, name in names.items()],
        "annotations": [
            {"id": k, "image_id": 1, "category_id": key, "bbox": [k, k, 8, 8], "area": 64}
            | {"iscrowd": crowd}
            for k, (key, crowd) in enumerate(boxes, 1)
        ],
    }
    (folder / "set.json").write_text(json.dumps(document))
    return str(folder / "set.json")


def named_set(file, classes, train=False):
    rule = dict(filter_empty_gt=True) if train else None
    settings = dict(filter_cfg=rule, test_mode=not train, pipeline=[])
    names = dict(classes=classes)
    return NamedSet(ann_file=file, data_prefix=dict(img=""), metainfo=names, **settings)


@pytest.mark.parametrize("order", [{1: "cat", 2: "dog", 3: "fox"}, {9: "fox", 1: "dog", 5: "cat"}])
def test_labels_go_by_name_whatever_the_files_ids_and_order(tmp_path, order):
    ids = {name: key for key, name in order.items()}
    file = written(tmp_path, [(ids["dog"], 0), (ids["fox"], 0), (ids["cat"], 0)], order)
    made = named_set(file, ("fox", "cat", "dog"))
    assert [box["bbox_label"] for box in made.get_data_info(0)["instances"]] == [2, 0, 1]


def test_a_class_that_the_file_lacks_is_said_and_the_others_keep_their_labels(tmp_path, capfd):
    file = written(tmp_path, [(7, 0)], {7: "fox"})
    made = named_set(file, ("cat", "dog", "fox"))
    assert [box["bbox_label"] for box in made.get_data_info(0)["instances"]] == [2]
    assert capfd.readouterr().err == f"{file} has no category cat, dog\n"


def test_objects_of_other_classes_are_refused_and_a_mere_mention_is_not(tmp_path):
    names = {1: "cat", 2: "Cat", 3: "dog"}
    with pytest.raises(
        LabError, match="has 2 boxes of classes .* does not know: Cat; it knows cat"
    ):
        named_set(written(tmp_path, [(1, 0), (2, 0), (2, 0), (3, 1)], names), ("cat",))
    assert len(named_set(written(tmp_path, [(1, 0)], names), ("cat",))) == 2


@pytest.mark.parametrize("boxes", [[], [(1, 1)]])
def test_a_set_without_an_object_cannot_train_and_measures_nothing(tmp_path, capfd, boxes):
    file = written(tmp_path, boxes, {1: "cat"})
    with pytest.raises(LabError, match=r"set\.json: no image has a box to learn from"):
        named_set(file, ("cat",), train=True)
    assert len(named_set(file, ("cat",))) == 2
    assert "has no object: AP cannot be measured" in capfd.readouterr().err


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(LabError, match=r"no .*gone\.json: name a COCO-format folder with --data"):
        named_set(str(tmp_path / "gone.json"), ("cat",))
