"""Notebook 05's pictures and numbers come from the student's own gradients."""

from __future__ import annotations

import pytest
import torch

from crosskd_lab.notebook.pulls import Held, check_gini, measure, name_of, source_frames, term_menus


@pytest.fixture(scope="module")
def held(student, batch):
    return Held(student.pair, [batch], "just now")


def test_images_one_by_one(held, batch):
    singles = held.singles()
    assert len(singles) == 3
    assert torch.equal(torch.cat([one["inputs"] for one in singles]), batch["inputs"])


def test_a_picture_an_image(held):
    frames = source_frames(held, 2)
    assert len(set(frames.pictures.values())) == 2


def test_a_picture_an_image_feature_and_term(held):
    menus = term_menus(held, 1, [("neck", 0), ("cls", 3)])
    images, features, terms = zip(*menus.pictures, strict=True)
    assert set(images) == {0} and set(features) == {"the neck", "cls tower, i = 3"}
    distilled = {term for term in terms if not term.startswith("detection")}
    assert len(distilled) == 5, "CrossKD and KD have two terms each, PKD has one"
    assert len(menus.pictures) == 2 * len(set(terms))


def test_pkd_does_not_reach_the_head(held):
    frame = measure(held, [("neck", 0), ("cls", 3)]).set_index(["where", "loss"])
    assert frame.loc[("cls", "PKD"), "gini"].isna().all()
    assert frame.loc[("neck", "PKD"), "gini"].between(0, 1).all()
    assert len(frame) == 3 * 2 * 4
    assert name_of(("reg", 2)) == "reg tower, i = 2"


def right(energy):
    return float((energy[:, None] - energy).abs().mean() / (2 * energy.mean()))


@pytest.mark.parametrize(
    ("gini", "said"),
    [
        (right, "Right: "),
        (lambda e: 0.0, "holds everything it gives 0, not 0.75"),
        (lambda e: right(e) * float(e.mean()), "one value of four"),
        (lambda e: 1 - float(e.min() / e.max()), "one value of four"),
        (lambda e: None, "raised TypeError"),
    ],
)
def test_the_judge_of_gini(gini, said):
    assert said in check_gini(gini)
