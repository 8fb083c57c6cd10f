"""Judges of what the learner wrote: each takes the learner's function and answers in one line."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from ..cross_head import align_statistics
from ..methods.fgd import scale_masks
from ..report.page import final_rows
from .judge import Wrong, expect, verdict


@verdict
def check_align(align: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Whether ``align(student, teacher)``, maps ``(N, C, H, W)`` both, gives each channel of the
    student the mean and deviation of the teacher's."""
    chance = torch.Generator().manual_seed(0)
    student = torch.randn(2, 3, 4, 5, generator=chance) * 2 + 1
    teacher = torch.randn(2, 3, 4, 5, generator=chance) * torch.tensor([1.0, 3, 5])[:, None, None]
    student.requires_grad_(True)
    aligned = align(student, teacher)
    if not isinstance(aligned, Tensor) or aligned.shape != student.shape:
        got = tuple(aligned.shape) if isinstance(aligned, Tensor) else type(aligned).__name__
        raise Wrong(f"return a tensor of the student's shape {tuple(student.shape)}, not {got}")
    if not aligned.requires_grad:
        raise Wrong("no gradient reaches the student's map; do not detach it")
    for name, measure in (("mean", Tensor.mean), ("standard deviation", Tensor.std)):
        ours, theirs = (measure(f.double(), dim=(0, 2, 3)) for f in (aligned, teacher))
        apart = (ours - theirs).abs().nan_to_num(torch.inf)
        if apart.max() > (1e-3 if name == "mean" else 0.1):  # n or n - 1 may divide the squares
            k = int(apart.argmax())
            raise Wrong(
                f"the {name} of channel {k} is {ours[k]:.3f} and the teacher's is {theirs[k]:.3f}; "
                "take each channel's over batch, height and width"
            )
    if not torch.allclose(aligned, align_statistics(student, teacher), rtol=0.02, atol=0.02):
        raise Wrong("a channel is no longer the student's: shift and scale it only")
    return "every channel has the teacher's mean and deviation, and is still the student's map"


RACE = pd.DataFrame({"seed": [0, 0, 1, 1, 0, 0, 1, 1, 2, 2], "step": [100, 200] * 5})
RACE["method"] = ["none"] * 4 + ["CrossKD"] * 6
RACE["AP"] = [4.0, 10, 6, 14, 20, 17, 21, 19, 60, 60]
"""A race made up for `check_gain`: seed 2 has no student without distillation beside it."""


@verdict
def check_gain(gain: Callable[[pd.DataFrame, str], Any]) -> str:
    """Whether ``gain(curves, method)`` is the mean over seeds of AP(method) - AP(none) at the end.

    ``curves`` has the columns method, seed, step and AP (points).
    """
    hints: list[tuple[list[float], str]] = [
        ([8.5], "that takes each student's best step: take the last step alone"),
        ([10.75], "that takes the mean over steps: take the last step alone"),
        ([20], "seed 2 has no partner among 'none'; compare only seeds that both methods have"),
        ([-6], "take the student without a teacher away from the method's, not the other way"),
        ([12], "that is the sum over seeds: take their mean"),
    ]
    longer = RACE.assign(step=2 * RACE["step"])
    for curves, method, wanted, case in (
        (RACE, "CrossKD", 6.0, "the made-up race"),
        (longer, "CrossKD", 6.0, "the same race twice as long"),
        (RACE, "none", 0.0, "the student without a teacher, against itself,"),
    ):
        usual = "take the last step, subtract seed by seed, average"
        expect(gain, (curves, method), [wanted], case, hints, usual)
    return "7 points under seed 0 and 5 under seed 1 make 6 on average"


@verdict
def check_ratio(ratio: Callable[[Tensor, Tensor, float], Any]) -> str:
    """Whether ``ratio(target, teacher, threshold)`` of two scores ``(R, K)`` is the conflict ratio
    of section 3.1."""
    target = torch.zeros(6, 3)
    target[0, 0], target[1, 1] = 1.0, 0.75
    teacher = torch.tensor(
        [[0.2, 0, 0], [0, 0.75, 0], [0.6, 0.7, 0.6], [0.2, 0.2, 0.3], [0.5, 0, 0], [0.2, 0.2, 0.2]]
    )
    known: list[tuple[list[float], str]] = [
        (
            [0.5],
            "background can be in conflict, too: count every location where the two differ, "
            "whichever of them is higher",
        ),
        ([1 / 3], "the paper divides by positive locations only, not by all of them"),
        ([2], "a location counts once, however many classes differ: take the maximum over classes"),
        ([1.5], "one location differs by just the threshold: a conflict is what lies above it"),
        ([0], "no location is counted: compare |target - teacher| with the threshold"),
    ]
    fixed: list[tuple[list[float], str]] = [([1], "use the threshold that is given, not 0.5")]
    for threshold, wanted, hints in ((0.5, 1.0, known), (0.25, 2.0, fixed)):
        case = f"a threshold of {threshold:g} for six made-up locations"
        usual = "locations with max |target - teacher| above it, over those with a target above 0"
        expect(ratio, (target, teacher, threshold), [wanted], case, hints, usual)
    return "two locations in conflict over two positives make 1"


@verdict
def check_gini(gini: Callable[[Tensor], Any]) -> str:
    """Whether ``gini(energy)`` is the Gini coefficient of values ``(n,)``, none below zero."""
    chance = torch.rand(50, generator=torch.Generator().manual_seed(0)) ** 3
    trials = {
        "of four equal values it": torch.ones(4),
        "of one value of four that holds everything it": torch.tensor([0.0, 0, 5, 0]),
        "of 1, 3, 2, 4 it": torch.tensor([1.0, 3, 2, 4]),
        "of ten times 1, 3, 2, 4 it": torch.tensor([10.0, 30, 20, 40]),
        "of fifty values it": chance,
    }
    for case, energy in trials.items():
        apart = (energy[:, None] - energy).abs().mean().item()
        wanted, n = apart / (2 * energy.mean().item()), len(energy)
        unsorted = ((2 * torch.arange(1, n + 1) - n - 1) * energy).sum() / (n * energy.sum())
        known = [
            ([2 * wanted], "that is twice as much: divide by twice the mean"),
            ([apart / 2], "divide by the mean: ten times the energy is not more focused"),
            ([wanted * n / (n - 1)], "count the pairs of a value with itself as well: n * n pairs"),
            ([unsorted.item()], "the k-th value is the k-th smallest: sort first"),
            ([wanted - 2 / n], "ranks begin at 1, not at 0"),
        ]
        usual = f"from the smallest to the largest: {energy.sort().values[:4].tolist()} ..."
        expect(gini, (energy,), [wanted], case, known, usual)
    return "0 for equal shares, (n - 1) / n where one location holds everything"


@verdict
def check_translation(pick: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> str:
    """Whether ``pick(scores, boxes)``, ``(L, A, K)`` and ``(L, A, 4)``, gives each location its
    best-scored anchor: scores ``(L, K)`` and boxes ``(L, 4)``."""
    scores = torch.tensor([[[0.3, 0.2], [0.1, 0.6]], [[0.5, 0.4], [0.46, 0.46]]])
    boxes = torch.arange(16.0).view(2, 2, 4)
    got = pick(scores.clone(), boxes.clone())
    shapes = [getattr(part, "shape", None) for part in got] if isinstance(got, tuple | list) else []
    if shapes != [(2, 2), (2, 4)]:
        raise Wrong("return two tensors, scores (L, K) and boxes (L, 4)")
    got = got[0].float(), got[1].float()
    if torch.allclose(got[0], scores.amax(1)):
        raise Wrong("each class took its own best anchor; one anchor must speak for a location")
    if not torch.allclose(got[0], scores[[0, 1], [1, 0]]):
        raise Wrong("take at each location the anchor with the largest score of any class")
    if not torch.allclose(got[1], boxes[[0, 1], [1, 0]]):
        raise Wrong("the scores are right; the boxes must be those of the same anchors")
    return "one anchor a location speaks, with its scores and its box; the others teach nothing"


@verdict
def check_distance(distance: Callable[[Tensor, Tensor], Tensor]) -> str:
    """Whether ``distance(z, y)``, logits and the teacher's scores ``(N, P, K)`` to ``(N, P)``, can
    be D_pred of eq. (2)."""
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
    """Whether ``judge(differences)``, one a seed, says "held", "did not hold" or "not decided" at
    95 %."""
    cases = {
        (3.0, 4.0, 5.0): ("held", "the interval is 4 ± 2.5"),
        (-3.0, -4.0, -5.0): ("did not hold", "the interval is -4 ± 2.5"),
        (0.5, 6.0, 1.0): ("not decided", "the interval is 2.5 ± 7.6: zero is in it"),
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
    """Whether ``learners(i, n)`` names which of the student's n hidden convs, counted from 1,
    CrossKD at i teaches."""
    for n in (4, 2):
        for i in range(n + 1):
            named, right = learners(i, n), list(range(1, i + 1))
            if not isinstance(named, Iterable):
                raise Wrong(f"return a list of numbers, not {type(named).__name__}")
            got = sorted(map(int, named))
            if got != right:
                raise Wrong(
                    f"for i = {i} of {n} it names {got}; f_i has passed the convs {right} of the "
                    "student and no other, the rest of the way is the teacher's"
                )
    return "convs 1 to i learn from the teacher, the others from the annotations alone"


@verdict
def check_keep(keep: Callable[[nn.Module, nn.Module, Tensor], tuple[Tensor, Tensor]]) -> str:
    """Whether ``keep(conv, activation, x)``, of an in-place activation and a map, returns the true
    pre-activation and the output."""
    chance = torch.Generator().manual_seed(0)
    conv, x = nn.Conv2d(2, 4, 3, padding=1), torch.randn(1, 2, 5, 5, generator=chance)
    nn.init.normal_(conv.weight, generator=chance)
    right = conv(x).detach()
    before, after = keep(conv, nn.ReLU(inplace=True), x.clone())
    if before.shape != right.shape:
        raise Wrong(f"the first has the shape {tuple(before.shape)}: it is not the conv's output")
    if before.min() >= 0:
        raise Wrong("the first has no value below zero: the activation has written over it")
    for name, kept, wanted in (("first", before, right), ("second", after, right.relu())):
        if not torch.allclose(kept, wanted):
            what = "the conv's output" if name == "first" else "that output, activated"
            raise Wrong(f"the {name} is not {what}")
        if not kept.requires_grad:
            raise Wrong(f"no gradient can pass the {name} one any more: clone it, do not detach it")
    return "the pre-activation survives, and gradients still pass"


@verdict
def check_agreement(agreement: Callable[[dict[str, float], dict[str, float]], Any]) -> str:
    """Whether ``agreement(paper, here)``, AP by row both, is the share of pairs of rows in order.

    Rows that only one of them has, and pairs that the paper has level, do not count; a pair that is
    level here is not in the same order.
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
        expect(agreement, (paper, here), [right], f"for {paper} and {here} it", usual=hint)
    return "an order can be compared where values cannot"


@verdict
def check_region(region: Callable[[Tensor, int, int], Any]) -> str:
    """Whether ``region(boxes, height, width)`` is FGD's foreground mask ``(H, W)``, of boxes
    ``(G, 4)`` whose corners are whole cells, both ends included."""
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
        wrong = (~((got - wanted).abs() <= 1e-3)).nonzero().tolist()  # NaN, too
        if wrong:
            y, x = wrong[0]
            raise Wrong(
                f"for {words}, cell ({y}, {x}) has {float(got[y, x]):.3g} and not "
                f"{float(wanted[y, x]):.3g}; every object weighs one in all, and where boxes "
                "overlap the larger value stays"
            )
    return "every object weighs one, however many cells it covers"


@verdict
def check_best(best: Callable[[Tensor, Tensor, Tensor], Any]) -> str:
    """Whether ``best(deltas, teacher_deltas, logits)`` is the RoI head's box distance ``(R,)``: of
    deltas ``(R, K, 4)`` of both, and the teacher's logits ``(R, K + 1)``, background last."""
    ours = torch.zeros(2, 2, 4)
    theirs = torch.tensor([[[1.0] * 4, [1.0, -3, 2, -2]], [[4.0] * 4, [0.0] * 4]])
    usual = "mean |difference| of the four deltas of the best class among the first K"
    for case, logits, wanted in (
        ("the class that the teacher is surest of", [[0.0, 1, -1], [2, 1, 0]], [2, 4]),
        ("a RoI that the teacher takes for background", [[3.0, 1, 9], [1, 2, 9]], [1, 0]),
    ):
        given = ours, theirs, torch.tensor(logits)
        expect(best, given, wanted, f"for {case} it", usual=usual)
    return "one class's four deltas a RoI, chosen by the teacher, background never"


@verdict
def check_resume(goes_on_from: Callable[[int, int, int], Any]) -> str:
    """Whether ``goes_on_from(killed, every, broken)`` is the step of the last whole checkpoint.

    Killed at that step, saved every so many, the last two kept, the newest ``broken`` cut short.
    """
    for given, right in {
        (250, 100, 0): 200,
        (200, 100, 0): 200,
        (90, 100, 0): 0,
        (250, 100, 1): 100,
        (250, 100, 2): 0,
        (90, 100, 1): 0,
        (450, 100, 1): 300,
        (450, 100, 2): 0,
    }.items():
        case = f"killed at {given[0]}, saved every {given[1]}, {given[2]} broken: it"
        never = [([-given[1]], "never below 0, which is the start")]
        never += [([200], "only the last two checkpoints are kept")] if given[2] == 2 else []
        expect(goes_on_from, given, [right], case, never, "count whole checkpoints")
    return "from the last checkpoint that is whole, and from the start where there is none"


@verdict
def check_boxes(to_coco: Callable[..., Sequence[float]]) -> str:
    """Whether ``to_coco(x, y, w, h, width, height)`` turns a relative box, its centre and size as
    shares of the image, into COCO's left, top, width, height in pixels."""
    hints = [
        ((100, 50, 40, 40), "(100, 50) is the centre; COCO begins at the left upper corner"),
        ((80, 30, 120, 70), "these are two corners; COCO's last two numbers are width and height"),
        ((0.4, 0.3, 0.2, 0.4), "these are shares of the image; COCO counts pixels"),
    ]
    for given, right in {
        (0.5, 0.5, 0.2, 0.4, 200, 100): (80, 30, 40, 40),
        (0.1, 0.75, 0.2, 0.5, 640, 480): (0, 240, 128, 240),
        (0.3, 0.4, 0.15, 0.25, 333, 77): (74.925, 21.175, 49.95, 19.25),
    }.items():
        expect(to_coco, given, right, f"{given}", hints, "left, top, width and height in pixels")
    return "left, top, width and height, in pixels"


@verdict
def check_split(split: Callable[[Tensor, Tensor, Tensor], Any]) -> str:
    """Whether ``split(scores, truth, positive)``, ``(P, K)`` twice and boolean ``(P,)``, gives both
    parts of L1(p^s, p^gt), per positive."""
    scores = torch.tensor([[0.5, 0.2], [0.1, 0.3], [0.0, 0.4], [0.6, 0.0], [0.2, 0.0]])
    truth = torch.tensor([[0.9, 0.0], [0.0, 0.0], [0.0, 0.0], [0.7, 0.0], [0.0, 0.0]])
    positive = torch.tensor([True, False, False, True, False])
    hints = [
        ((0.7, 1.0), "divide both by the number of positives, 2"),
        ((0.35, 1.0), "the background, too, is divided by the number of positives"),
        ((0.35, 1 / 3), "the background is divided by the number of positives, not by its own"),
        ((0.25, 0.45), "add up all classes, not the largest error alone"),
        ((0.25, 0.15), "add up all classes, not one"),
        ((0.5, 0.35), "the part at positives comes first"),
    ]
    usual = "add up |p^s - p^gt| over classes and locations, at positives and elsewhere"
    none = truth * 0, positive & False
    expect(
        split, (scores, truth, positive), (0.35, 0.5), "for two positives of five it", hints, usual
    )
    expect(split, (scores, *none), (0, 2.3), "without any positive it", (), "divide by 1 there")
    return "0.35 at positives and 0.5 on background make 0.85 in all"


def judge_guess(guess: Mapping[str, Any], curves: pd.DataFrame) -> str:
    """How many pairs of methods a guess put in the order in which their students ended.

    ``guess``: method to place, 1 for the lowest final AP, None where there is none yet; ``curves``
    has the columns method, seed, step and AP.
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
