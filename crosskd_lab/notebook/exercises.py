"""Judges of what the learner wrote. Each takes the learner's function and answers in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from ..methods.regions import scale_masks
from ..report.page import final_rows
from .judge import Wrong, verdict


@verdict
def check_align(align: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Whether ``align(student, teacher)`` gives each channel the teacher's mean and deviation.

    Args:
        align: Takes two maps ``(N, C, H, W)`` and returns one.
    """
    chance = torch.Generator().manual_seed(0)
    student = torch.randn(2, 3, 4, 5, generator=chance) * 2 + 1
    teacher = torch.randn(2, 3, 4, 5, generator=chance) * torch.tensor([1.0, 3, 5])[:, None, None]
    student.requires_grad_(True)
    before = student.detach().clone()
    aligned = align(student, teacher)
    _check_map(aligned, student, before)
    for name, measure in (("mean", Tensor.mean), ("standard deviation", Tensor.std)):
        ours, theirs = (measure(f, dim=(0, 2, 3)) for f in (aligned, teacher))
        if not torch.allclose(ours, theirs, atol=1e-3):
            raise Wrong(
                f"the {name} of channel 0 is {ours[0]:.3f} and the teacher's is {theirs[0]:.3f}; "
                "take each channel's over batch, height and width"
            )
    _check_affine(aligned, before)
    return "every channel has the teacher's mean and deviation, and is still the student's map"


def _check_map(aligned: Any, student: Tensor, before: Tensor) -> None:
    if not isinstance(aligned, Tensor) or aligned.shape != student.shape:
        got = tuple(aligned.shape) if isinstance(aligned, Tensor) else type(aligned).__name__
        raise Wrong(f"return a tensor of the student's shape {tuple(student.shape)}, not {got}")
    if not torch.equal(student, before):
        raise Wrong("the student's map was changed in place; return a new one")
    if not aligned.requires_grad:
        raise Wrong("no gradient reaches the student's map; do not detach it")


def _check_affine(aligned: Tensor, student: Tensor) -> None:
    flat = [f.detach().transpose(0, 1).flatten(1) for f in (aligned, student)]
    for channel in range(len(flat[0])):
        r = torch.corrcoef(torch.stack([f[channel] for f in flat]))[0, 1]
        if r < 0.999:
            raise Wrong(f"channel {channel} is no longer the student's: shift and scale it only")


RACE = pd.DataFrame({"seed": [0, 0, 1, 1, 0, 0, 1, 1, 2, 2], "step": [100, 200] * 5})
RACE["method"] = ["none"] * 4 + ["CrossKD"] * 6
RACE["AP"] = [4.0, 10, 6, 14, 20, 17, 21, 19, 60, 60]
"""A race made up for `check_gain`: seed 2 has no student without distillation beside it."""


@verdict
def check_gain(gain: Callable[[pd.DataFrame, str], Any]) -> str:
    """Whether ``gain(curves, method)`` is the mean over seeds of AP(method) - AP(none) at the end.

    Args:
        gain: Takes a frame with columns method, seed, step, AP (points), and a method's name.
    """
    hints = {
        8.0: "that takes the best step or the mean of steps; take the last step alone",
        20.0: "seed 2 has no partner among 'none'; compare only seeds that both methods have",
        -6.0: "take the student without a teacher away from the method's, not the other way",
        12.0: "that is the sum over seeds: take their mean",
    }
    longer = RACE.assign(step=2 * RACE["step"])
    for curves, method, wanted, words in (
        (RACE, "CrossKD", 6.0, "the made-up race"),
        (longer, "CrossKD", 6.0, "the same race twice as long"),
        (RACE, "none", 0.0, "the student without a teacher, against itself,"),
    ):
        found = gain(curves.copy(), method)
        try:
            got = float(found)
        except (TypeError, ValueError):
            raise Wrong(f"return one number, not {type(found).__name__}") from None
        if not abs(got - wanted) <= 1e-3:
            hint = hints.get(round(got, 3), "take the last step, subtract seed by seed, average")
            raise Wrong(f"for {words} it gives {got:g} points, not {wanted:g}; {hint}")
    return "7 points under seed 0 and 5 under seed 1 make 6 on average"


@verdict
def check_gini(gini: Callable[[Tensor], Any]) -> str:
    """Whether ``gini(energy)`` is the Gini coefficient of non-negative values ``(n,)``.

    Args:
        gini: Takes a tensor in any order; a number, or a tensor or array of one, is an answer.
    """
    chance = torch.rand(50, generator=torch.Generator().manual_seed(0)) ** 3
    trials = {
        "four equal values": torch.ones(4),
        "one value of four that holds everything": torch.tensor([0.0, 0, 5, 0]),
        "1, 3, 2, 4": torch.tensor([1.0, 3, 2, 4]),
        "ten times 1, 3, 2, 4": torch.tensor([10.0, 30, 20, 40]),
        "fifty values": chance,
    }
    for words, energy in trials.items():
        apart = (energy[:, None] - energy).abs().mean().item()
        wanted, n = apart / (2 * energy.mean().item()), len(energy)
        got = torch.as_tensor(gini(energy.clone())).detach().double()
        if got.numel() != 1:
            raise Wrong(f"return one number, not {got.numel()}")
        if abs(got.item() - wanted) <= 1e-3:  # also of an answer in half precision
            continue
        ranked = energy.sort().values
        unsorted = ((2 * torch.arange(1, n + 1) - n - 1) * energy).sum() / (n * energy.sum())
        known = {
            "that is twice as much: divide by twice the mean": 2 * wanted,
            "divide by the mean: ten times the energy is not more focused": apart / 2,
            "count the pairs of a value with itself as well: n * n pairs": wanted * n / (n - 1),
            "the k-th value is the k-th smallest: sort first": unsorted.item(),
            "take the largest rank for the largest value, not for the smallest": -wanted,
            "ranks begin at 1, not at 0": wanted - 2 / n,
        }
        hints = [hint for hint, value in known.items() if abs(got.item() - value) <= 1e-3]
        hint = hints[0] if hints else f"from the smallest to the largest: {ranked[:4].tolist()} ..."
        raise Wrong(f"for {words} it gives {got.item():.3g}, not {wanted:.3g}; {hint}")
    return "0 for equal shares, (n - 1) / n where one location holds everything"


@verdict
def check_translation(pick: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> str:
    """Whether ``pick(scores, boxes)`` gives each location its best-scored anchor.

    Args:
        pick: Takes scores ``(L, A, K)`` and boxes ``(L, A, 4)``; returns scores ``(L, K)`` and
            boxes ``(L, 4)``.
    """
    scores = torch.tensor([[[0.3, 0.2], [0.1, 0.6]], [[0.5, 0.4], [0.46, 0.46]]])
    boxes = torch.arange(16.0).view(2, 2, 4)
    got = pick(scores.clone(), boxes.clone())
    if not isinstance(got, tuple) or [tuple(g.shape) for g in got] != [(2, 2), (2, 4)]:
        raise Wrong("return two tensors, scores (L, K) and boxes (L, 4)")
    if torch.allclose(got[0], scores.amax(1)):
        raise Wrong("each class took its own best anchor; one anchor must speak for a location")
    if not torch.allclose(got[0], scores[[0, 1], [1, 0]]):
        raise Wrong("take at each location the anchor with the largest score of any class")
    if not torch.allclose(got[1], boxes[[0, 1], [1, 0]]):
        raise Wrong("the scores are right; the boxes must be those of the same anchors")
    return "one anchor a location speaks, with its scores and its box; the others teach nothing"


@verdict
def check_distance(distance: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Whether ``distance(z, y)`` of logits and the teacher's scores can be D_pred of eq. (2).

    Args:
        distance: Takes two tensors ``(N, P, K)``, y in [0, 1], and returns ``(N, P)``.
    """
    chance = torch.Generator().manual_seed(0)
    z = torch.randn(2, 5, 3, generator=chance, requires_grad=True)
    y = torch.rand(2, 5, 3, generator=chance)
    got, same = distance(z, y), distance(z, z.detach().sigmoid())
    if not isinstance(got, Tensor) or got.shape != (2, 5):
        said = tuple(got.shape) if isinstance(got, Tensor) else type(got).__name__
        raise Wrong(f"return (N, P), here (2, 5), one distance a location, not {said}")
    if not got.requires_grad:
        raise Wrong("no gradient reaches the student's logits; do not detach them")
    (pull,) = torch.autograd.grad(got.sum(), z)
    if not (got.isfinite().all() and pull.isfinite().all()):
        raise Wrong("a distance or its gradient is not finite; take no logarithm of 0")
    if not pull.any():
        raise Wrong("its gradient is 0 everywhere: the student would learn nothing from it")
    mixed = z.detach().sigmoid().lerp(y, 0.9).logit()
    if not (distance(mixed, y).sum() < got.sum()):
        raise Wrong("scores nearer to the teacher's are farther away by it; is a sign turned?")
    if same.abs().max() > 1e-4:
        return "it falls towards the teacher; mind that it is not 0 where both agree"
    return "0 where both agree, more where they differ, and the student alone learns from it"


@verdict
def check_verdict(judge: Callable[[Sequence[float]], str]) -> str:
    """Whether ``judge(differences)`` says "held", "did not hold" or "not decided" at 95 %.

    Args:
        judge: Takes the differences of a method and its baseline, one a seed.
    """
    cases = {
        (3.0, 4.0, 5.0): ("held", "the interval is 4 ± 2.5"),
        (-3.0, -4.0, -5.0): ("did not hold", "the interval is -4 ± 2.5"),
        (0.5, 6.0, 1.0): ("not decided", "the interval is 2.5 ± 7.5: zero is in it"),
        (1.0, 2.0, 3.2): ("not decided", "with 3 seeds t is 4.30, not 1.96: 2.1 ± 2.7"),
        (1.4, 2.4, 3.4): ("not decided", "divide squares by n - 1 (ddof=1), not by n: 2.4 ± 2.5"),
        (1.0, 2.0, 3.0, 4.0): ("held", "with 4 seeds t is 3.18: 2.5 ± 2.1"),
        (0.0, 0.0, 0.0): ("not decided", "the interval is zero itself, which is not above zero"),
        (5.0, 5.1): ("not decided", "two seeds that agree by luck decide nothing"),
        (9.0,): ("not decided", "one seed has no interval"),
    }
    for differences, (right, hint) in cases.items():
        got = judge(list(differences))
        if got != right:
            raise Wrong(f"for {list(differences)} it says {got!r}; {hint}")
    return "nine made-up results, nine verdicts"


@verdict
def check_layers(learners: Callable[[int, int], Any]) -> str:
    """Whether ``learners(i, n)`` names the student's hidden convs that CrossKD at i teaches.

    Args:
        learners: Takes the layer and the number n of hidden convs, counted from 1.
    """
    for n in (4, 2):
        for i in range(n + 1):
            got, right = sorted(int(k) for k in learners(i, n)), list(range(1, i + 1))
            if got != right:
                raise Wrong(
                    f"for i = {i} of {n} it names {got}; f_i has passed the convs {right} of the "
                    "student and no other, the rest of the way is the teacher's"
                )
    return "convs 1 to i learn from the teacher, the others from the annotations alone"


@verdict
def check_keep(keep: Callable[[nn.Module, nn.Module, Tensor], tuple[Tensor, Tensor]]) -> str:
    """Whether ``keep(conv, activation, x)`` returns the true pre-activation and the output.

    Args:
        keep: Gets a conv, an in-place activation and a map; returns (before, after).
    """
    chance = torch.Generator().manual_seed(0)
    conv, x = nn.Conv2d(2, 4, 3, padding=1), torch.randn(1, 2, 5, 5, generator=chance)
    nn.init.normal_(conv.weight, generator=chance)
    right = conv(x).detach()
    before, after = keep(conv, nn.ReLU(inplace=True), x.clone())
    if not torch.allclose(after, right.relu()):
        raise Wrong("the second is not the activated map of the conv's output")
    if before.min() >= 0:
        raise Wrong("the first has no value below zero: the activation has written over it")
    if not torch.allclose(before, right):
        raise Wrong("the first is not the conv's output")
    for name, kept in (("first", before), ("second", after)):
        if not kept.requires_grad:
            raise Wrong(f"no gradient can pass the {name} one any more: clone it, do not detach it")
    return "the pre-activation survives, and gradients still pass"


@verdict
def check_agreement(agreement: Callable[[dict[str, float], dict[str, float]], Any]) -> str:
    """Whether ``agreement(paper, here)`` is the share of pairs of rows in the same order.

    Args:
        agreement: Takes AP by row twice; rows that only one of them has, and pairs that the paper
            has level, do not count; a pair that is level here is not in the same order.
    """
    cases = [
        ("abc", (1, 2, 3), "abc", (10, 30, 20), 2 / 3, "two of the three pairs are in order"),
        ("abx", (1, 2, 9), "aby", (10, 30, 0), 1.0, "compare only rows that both have"),
        ("abc", (1, 1, 3), "abc", (5, 4, 6), 1.0, "leave out a pair that the paper has level"),
        ("ab", (1, 2), "ab", (5, 5), 0.0, "a pair that is level here is not in the same order"),
        ("ab", (1, 2), "ba", (6, 5), 1.0, "rows go by their names, not by their places"),
    ]
    for rows, aps, own_rows, own, right, hint in cases:
        paper, here = dict(zip(rows, aps, strict=True)), dict(zip(own_rows, own, strict=True))
        got = float(agreement(dict(paper), dict(here)))
        if not abs(got - right) <= 1e-6:
            raise Wrong(f"for {paper} and {here} it gives {got:.2f}; {hint}")
    return "an order can be compared where values cannot"


@verdict
def check_region(region: Callable[[Tensor, int, int], Any]) -> str:
    """Whether ``region(boxes, height, width)`` is FGD's foreground mask ``(H, W)``.

    Args:
        region: Takes boxes ``(G, 4)`` whose corners are whole cells, both ends included.
    """
    small, large = [2, 2, 3, 3], [0, 0, 5, 5]
    trials = {
        "one box of 2 by 3 cells": [[1, 1, 2, 3]],
        "a small box after a large one around it": [large, small],
        "a small box before a large one around it": [small, large],
        "no box": [],
    }
    for words, boxes in trials.items():
        given = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        wanted, _ = scale_masks(given, (6, 8), (6, 8))
        got = torch.as_tensor(region(given.clone(), 6, 8)).detach().cpu()
        if got.shape != wanted.shape:
            raise Wrong(f"for {words} it has the shape {tuple(got.shape)}, not (6, 8)")
        apart = (got - wanted).abs()
        if not apart.max() <= 1e-3:  # also of an answer in half precision
            y, x = divmod(int(apart.argmax()), wanted.size(1))
            raise Wrong(
                f"for {words}, cell ({y}, {x}) has {float(got[y, x]):.3g} and not "
                f"{float(wanted[y, x]):.3g}; every object weighs one in all, and where boxes "
                "overlap the larger value stays"
            )
    return "every object weighs one, however many cells it covers"


@verdict
def check_best(best: Callable[[Tensor, Tensor, Tensor], Any]) -> str:
    """Whether ``best(deltas, teacher_deltas, logits)`` is the RoI head's box distance.

    Args:
        best: Takes deltas ``(R, K, 4)`` of both and the teacher's logits ``(R, K + 1)``, background
            last; gives ``(R,)``.
    """
    ours = torch.zeros(2, 2, 4)
    theirs = torch.tensor([[[1.0] * 4, [1.0, -3, 2, -2]], [[4.0] * 4, [0.0] * 4]])
    cases = {
        "the class that the teacher is surest of": (
            torch.tensor([[0.0, 1, -1], [2, 1, 0]]),
            [2, 4],
        ),
        "a RoI that the teacher takes for background": (
            torch.tensor([[3.0, 1, 9], [1, 2, 9]]),
            [1, 0],
        ),
    }
    for words, (logits, wanted) in cases.items():
        got = torch.as_tensor(best(ours.clone(), theirs.clone(), logits)).flatten().tolist()
        if got != wanted:
            raise Wrong(
                f"for {words} it gives {got}, not {wanted}: mean |difference| of the four "
                "deltas of the best class among the first K"
            )
    return "one class's four deltas a RoI, chosen by the teacher, background never"


@verdict
def check_resume(goes_on_from: Callable[[int, int, int], Any]) -> str:
    """Whether ``goes_on_from(killed, every, broken)`` is the step of the last whole checkpoint.

    Args:
        goes_on_from: Takes the step at which a run was killed, the steps between checkpoints, and
            how many of the newest checkpoints a broken disk has cut short.
    """
    for given, right in {
        (250, 100, 0): 200,
        (200, 100, 0): 200,
        (90, 100, 0): 0,
        (250, 100, 1): 100,
        (250, 100, 2): 0,
        (90, 100, 1): 0,
    }.items():
        found = goes_on_from(*given)
        try:
            got = float(found)
        except (TypeError, ValueError):
            raise Wrong(f"return a step, a number, not {type(found).__name__}") from None
        if got != right:
            hint = "never below 0, which is the start" if got < 0 else "count whole checkpoints"
            said = f"killed at {given[0]}, saved every {given[1]}, {given[2]} broken"
            raise Wrong(f"{said}: the run goes on from {right}, not {got:g}; {hint}")
    return "from the last checkpoint that is whole, and from the start where there is none"


@verdict
def check_boxes(to_coco: Callable[..., Sequence[float]]) -> str:
    """Whether ``to_coco(x, y, w, h, width, height)`` turns a relative box into COCO's.

    Args:
        to_coco: Takes centre and size as shares of the image, 0 to 1, and the image's size in
            pixels; returns left, top, width, height in pixels.
    """
    hints = {
        (100, 50, 40, 40): "(100, 50) is the centre; COCO begins at the left upper corner",
        (80, 30, 120, 70): "these are two corners; COCO's last two numbers are width and height",
        (0.4, 0.3, 0.2, 0.4): "these are shares of the image; COCO counts pixels",
    }
    for given, right in {
        (0.5, 0.5, 0.2, 0.4, 200, 100): (80, 30, 40, 40),
        (0.1, 0.75, 0.2, 0.5, 640, 480): (0, 240, 128, 240),
        (0.3, 0.4, 0.15, 0.25, 333, 77): (74.925, 21.175, 49.95, 19.25),
    }.items():
        found = to_coco(*given)
        try:
            got = torch.tensor([float(value) for value in found])
        except TypeError:
            raise Wrong(f"return four numbers, not {type(found).__name__}") from None
        if len(got) != 4:
            raise Wrong(f"return four numbers, not {len(got)}")
        for wrong, hint in hints.items():
            if torch.allclose(got, torch.tensor(wrong, dtype=got.dtype)):
                raise Wrong(hint)
        if not torch.allclose(got, torch.tensor(right, dtype=got.dtype), atol=1e-3):
            said = [round(value, 3) for value in got.tolist()]
            raise Wrong(f"{given} gives {said}, not {list(right)}")
    return "left, top, width and height, in pixels"


@verdict
def check_split(split: Callable[[Tensor, Tensor, Tensor], Any]) -> str:
    """Whether ``split(scores, truth, positive)`` gives both parts of L1(p^s, p^gt), per positive.

    Args:
        split: Takes ``(P, K)``, ``(P, K)`` and boolean ``(P,)``; returns two numbers.
    """
    scores = torch.tensor([[0.5, 0.2], [0.1, 0.3], [0.0, 0.4], [0.6, 0.0]])
    truth = torch.tensor([[0.9, 0.0], [0.0, 0.0], [0.0, 0.0], [0.7, 0.0]])
    positive = torch.tensor([True, False, False, True])
    hints = {0.7: "divide by the number of positives, 2", 0.25: "add up all classes, not one"}
    hints[0.8] = "the background, too, is divided by the number of positives"
    places = ("at positives", "on background")
    for given, wanted, usual in (
        ((scores, truth, positive), (0.35, 0.4), "add up |p^s - p^gt| over the classes there"),
        ((scores, truth * 0, positive & False), (0.0, 2.1), "without any positive, divide by 1"),
    ):
        got = torch.as_tensor(split(*(tensor.clone() for tensor in given))).detach()
        if got.shape != (2,):
            raise Wrong("return two numbers: the part at positives, and the part on background")
        for place, value, right in zip(places, got.tolist(), wanted, strict=True):
            if not abs(value - right) <= 1e-3:
                hint = hints.get(round(value, 3), usual)
                raise Wrong(f"{place} it gives {value:.3g}, not {right:.3g}; {hint}")
    return "0.35 at positives and 0.4 on background make 0.75 in all"


def judge_guess(guess: Mapping[str, Any], curves: pd.DataFrame) -> str:
    """How many pairs of methods a guess put in the order in which their students ended.

    Args:
        guess: Method to place, 1 for the lowest final AP; None where there is no guess yet.
        curves: Columns method, seed, step, AP, as a race gives them.
    """
    ends = final_rows(curves).groupby("method")["AP"].mean()
    missing = [method for method in ends.index if guess.get(method) is None]
    if missing:
        return f"Your guess leaves out {', '.join(missing)}: give every method a place."
    if len({guess[method] for method in ends.index}) < len(ends):
        return "Your guess puts two methods in one place: give each a place of its own."
    pairs = [(a, b) for a, b in combinations(ends.index, 2) if abs(ends[a] - ends[b]) >= 0.05]
    if not pairs:
        return "All students ended alike: this race has no order to guess."
    wrong = [(a, b) for a, b in pairs if (guess[a] < guess[b]) != (ends[a] < ends[b])]
    text = f"{len(pairs) - len(wrong)} of {len(pairs)} pairs are in the order of this race."
    told = [f"{min(p, key=ends.get)} ended below {max(p, key=ends.get)}" for p in wrong]
    return f"{text} Other than you guessed, {'; '.join(told)}." if wrong else text
