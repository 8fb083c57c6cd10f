"""The judges accept right answers, hint at wrong ones, and never stop a notebook."""

from __future__ import annotations

from itertools import combinations

import pandas as pd
import pytest
import torch

from crosskd_lab.cross_head import align_statistics
from crosskd_lab.losses import kd_quality_focal
from crosskd_lab.notebook.exercises import (
    check_agreement,
    check_align,
    check_best,
    check_boxes,
    check_distance,
    check_gain,
    check_gini,
    check_keep,
    check_layers,
    check_ratio,
    check_region,
    check_resume,
    check_split,
    check_translation,
    check_verdict,
    judge_guess,
)


def over_everything(student, teacher):
    return (student - student.mean()) / student.std() * teacher.std() + teacher.mean()


ALIGN = [
    (align_statistics, "Right"),
    (lambda s, t: s, "the mean of channel 1 is 1.311"),
    (lambda s, t: align_statistics(s, t) + torch.eye(3)[2, :, None, None], "mean of channel 2"),
    (lambda s, t: s - s.mean((0, 2, 3), True) + t.mean((0, 2, 3), True), "standard deviation"),
    (over_everything, "take each channel's over batch"),
    (lambda s, t: t, "no gradient reaches"),
    (lambda s, t: s.mean(), "return a tensor of the student's shape (2, 3, 4, 5), not ()"),
    (lambda s, t: None, "not NoneType"),
    (lambda s, t: align_statistics(s, t).flip(-1), "no longer the student's"),
    (lambda s, t: 1 / 0, "your function raised ZeroDivisionError"),
]


def paired_at_the_end(curves, method):
    ends = curves[curves["step"] == curves["step"].max()].set_index("seed")
    ap = {name: rows["AP"] for name, rows in ends.groupby("method")}
    return float((ap[method] - ap["none"]).dropna().mean())


def unpaired(curves, method):
    ends = curves[curves["step"] == curves["step"].max()].groupby("method")["AP"].mean()
    return float(ends[method] - ends["none"])


def best_step(curves, method):
    ap = curves.groupby(["method", "seed"])["AP"].max()
    return float((ap[method] - ap["none"]).dropna().mean())


def mean_step(curves, method):
    ap = curves.groupby(["method", "seed"])["AP"].mean()
    return float((ap[method] - ap["none"]).dropna().mean())


GAIN = [
    (paired_at_the_end, "Right"),
    (lambda c, m: 0.0, "race gives 0, not 6; take the last step"),
    (unpaired, "seed 2 has no partner"),
    (best_step, "that takes each student's best step"),
    (mean_step, "that takes the mean over steps"),
    (lambda c, m: -paired_at_the_end(c, m), "not the other way"),
    (lambda c, m: 2 * paired_at_the_end(c, m), "take their mean"),
    (lambda c, m: float("nan"), "gives nan, not 6"),
    (lambda c, m: paired_at_the_end(c, "CrossKD"), "against itself, gives 6, not 0"),
    (lambda c, m: paired_at_the_end(c[c["step"] <= 200], m), "twice as long gives"),
]


def ratio(target, teacher, threshold):
    apart = (target - teacher).abs().amax(-1) > threshold
    return float(apart.sum() / (target.amax(-1) > 0).sum())


RATIO = [
    (ratio, "Right: "),
    (lambda a, b, t: 0.0, "locations gives 0, not 1; no location is counted"),
    (lambda a, b, t: ratio(a, b, t) * 2 / 4, "background"),
    (lambda a, b, t: ((a - b) > t).any(-1).sum() / 2, "whichever of them is higher"),
    (lambda a, b, t: ((b - a) > t).any(-1).sum() / 2, "whichever of them is higher"),
    (lambda a, b, t: 6 * ratio(a, b, t), "gives 6, not 1; locations with max"),
    (lambda a, b, t: ((a - b).abs() > t).sum() / 2, "counts once"),
    (lambda a, b, t: ((a - b).abs().sum(-1) > t).sum() / 2, "counts once"),
    (lambda a, b, t: ratio(a, b, 0.5), "use the threshold"),
    (lambda a, b, t: ((a - b).abs().amax(-1) >= t).sum() / 2, "lies above it"),
    (lambda a, b, t: ((a - b).abs().amax(-1) > t).sum() / len(a), "not by all"),
]


def best(scores, boxes):
    anchor = scores.amax(-1).argmax(1)
    rows = torch.arange(len(scores))
    return scores[rows, anchor], boxes[rows, anchor]


TRANSLATION = [
    (best, "Right: one anchor a location speaks"),
    (lambda s, b: [part.double() for part in best(s, b)], "Right: one anchor a location"),
    (lambda s, b: (s.amax(1), best(s, b)[1]), "one anchor must speak for a location"),
    (lambda s, b: (s[:, 0], b[:, 0]), "take at each location the anchor"),
    (lambda s, b: (s[:, 1], b[:, 1]), "the largest score of any class"),
    (lambda s, b: (best(s, b)[0], b[:, 0]), "the boxes must be those of the same anchors"),
    (lambda s, b: s, "return two tensors"),
]


def pairs(energy):
    return (energy[:, None] - energy).abs().mean() / (2 * energy.mean())


def ranked(energy, first=1):
    k = torch.arange(first, len(energy) + first)
    return ((2 * k - len(energy) - 1) * energy.sort().values).sum() / (len(energy) * energy.sum())


GINI = [
    (pairs, "Right"),
    (ranked, "Right"),
    (lambda e: 0.0, "holds everything it gives 0, not 0.75"),
    (lambda e: 2 * pairs(e), "divide by twice the mean"),
    (lambda e: pairs(e) * e.mean(), "ten times the energy is not more focused"),
    (lambda e: pairs(e) * len(e) / (len(e) - 1), "pairs of a value with itself"),
    (lambda e: ranked(e, 0), "ranks begin at 1"),
    (lambda e: (torch.tensor([-3, -1, 1, 3]) * e).sum() / (4 * e.sum()), "sort first"),
    (lambda e: 1 - e.min() / e.max(), "one value of four"),
]


DISTANCE = [
    (kd_quality_focal, "Right: 0 where both agree"),
    (lambda z, y: (z.sigmoid() - y).square().sum(-1), "Right: 0 where both agree"),
    (
        lambda z, y: -(y * z.sigmoid().log()).sum(-1),
        "Right: it falls towards the teacher; mind that it is not 0",
    ),
    (lambda z, y: (z.sigmoid() - y).abs(), "one distance a location, not (2, 5, 3)"),
    (lambda z, y: 0.0, "not float"),
    (lambda z, y: (z.detach() - y).abs().sum(-1), "no gradient reaches"),
    (lambda z, y: 0 * z.sum(-1), "gradient is 0 everywhere"),
    (lambda z, y: -(z.sigmoid() - y).abs().sum(-1), "is a sign turned"),
    (lambda z, y: (z - z).log().sum(-1), "not finite"),
]


def judged(factor=None, fewest=3, ddof=1, strictly=True):
    """A judge by the interval; t of 2 and 3 degrees of freedom from a printed table."""

    def judge(differences):
        n = len(differences)
        if n < fewest:
            return "not decided"
        t = factor or {2: 12.706, 3: 4.303, 4: 3.182}[n]
        mean = sum(differences) / n
        half = t * (sum((d - mean) ** 2 for d in differences) / (n - ddof) / n) ** 0.5
        if mean > half or (not strictly and mean >= half):
            return "held"
        return "did not hold" if mean < -half else "not decided"

    return judge


VERDICT = [
    (judged(), "Right"),
    (judged(factor=1.96), "t is 4.30, not 1.96"),
    (judged(ddof=0), "n - 1 (ddof=1), not by n"),
    (judged(strictly=False), "which is not above zero"),
    (judged(fewest=2), "two seeds that agree by luck"),
    (judged(factor=4.303), "Not yet: for [1.0, 2.0, 3.0, 4.0]"),
    (lambda d: "held", "Not yet"),
]


LAYERS = [
    (lambda i, n: list(range(i, 0, -1)), "Right"),
    (lambda i, n: torch.arange(1, i + 1), "Right"),
    (lambda i, n: None, "return a list of numbers, not NoneType"),
    (lambda i, n: [n], "f_i has passed the convs [] of the student and no other"),
    (lambda i, n: [1, 2, 3, 4], "for i = 0 of 4 it names [1, 2, 3, 4]"),
    (lambda i, n: list(range(1, i + (n == 4))), "for i = 1 of 2 it names []"),
]


def keeping(before=lambda made: made, entering=lambda made: made.clone()):
    """A `keep` that returns and activates what it is told of the conv's output."""

    def keep(conv, activation, x):
        made = conv(x)
        kept = before(made)
        return kept, activation(entering(made))

    return keep


KEEP = [
    (keeping(), "Right"),
    (keeping(before=lambda made: made.clone(), entering=lambda made: made), "Right"),
    (keeping(entering=lambda made: made), "written over it"),
    (keeping(before=lambda made: made.detach().clone()), "pass the first one"),
    (keeping(entering=lambda made: made.detach().clone()), "pass the second one"),
    (keeping(before=lambda made: 2 * made), "the first is not the conv's output"),
    (lambda conv, activation, x: (x, activation(conv(x))), "the shape (1, 2, 5, 5): it is not"),
    (lambda conv, activation, x: conv(x), "raised ValueError"),
    (
        lambda conv, activation, x: (conv(x), torch.zeros(1)),
        "the second is not that output",
    ),
]


def agreeing(level=False, tied=lambda here, a, b: False, common=True):
    """A share of pairs; wrong where it counts level pairs, or rows that only one side has."""

    def agreement(paper, here):
        rows = [row for row in paper if row in here or not common]
        pairs = [(a, b) for a, b in combinations(rows, 2) if paper[a] != paper[b] or level]
        same = [
            (paper[a] - paper[b]) * (here.get(a, 0) - here.get(b, 0)) > 0 or tied(here, a, b)
            for a, b in pairs
        ]
        return sum(same) / len(pairs)

    return agreement


AGREEMENT = [
    (agreeing(), "Right"),
    (agreeing(level=True), "leave out a pair that the paper has level"),
    (agreeing(common=False), "compare only rows that both have"),
    (agreeing(tied=lambda here, a, b: here[a] == here[b]), "a pair that is level here"),
    (lambda paper, here: 1.0, "two of the three pairs"),
]


def objects(boxes, height, width, order=1, value=lambda w, h: 1 / (w * h)):
    mask = torch.zeros(height, width)
    for left, top, right, bottom in boxes.int().tolist()[::order]:
        mask[top : bottom + 1, left : right + 1] = value(right - left + 1, bottom - top + 1)
    return mask


def smallest(boxes, height, width):
    last = sorted(boxes.tolist(), key=lambda b: -(b[2] - b[0]) * (b[3] - b[1]))
    return objects(torch.tensor(last).reshape(-1, 4), height, width)


REGION = [
    (smallest, "Right: "),
    (lambda *given: smallest(*given).half().requires_grad_(), "Right: "),
    (
        lambda *given: (smallest(*given) > 0).float(),
        "one box of 2 by 3 cells, cell (1, 1) has 1 and not 0.167",
    ),
    (objects, "a small box before a large one around it, cell (2, 2)"),
    (lambda *given: objects(*given, -1), "a small box after a large one around it, cell (2,"),
    (lambda b, h, w: torch.zeros(w, h), "has the shape (8, 6), not (6, 8)"),
    (lambda b, h, w: None, "raised"),
]


def of_the_best(deltas, teacher_deltas, logits):
    gap = (deltas - teacher_deltas).abs().mean(-1)
    return gap.gather(1, logits[:, :-1].argmax(-1, keepdim=True))[:, 0]


BEST = [
    (of_the_best, "Right: "),
    (lambda s, t, z: of_the_best(s, t * 0 + t.abs().amax(-1, True), z), "not 2, 4"),
    (lambda s, t, z: (s - t).abs().mean(-1)[:, 0], "surest of it gives 1, 4, not 2, 4"),
    (lambda s, t, z: (s - t).abs().mean((1, 2)), "it gives"),
    (
        lambda s, t, z: (s - t).abs().mean(-1).gather(1, z.argmax(-1, True).clamp(max=1))[:, 0],
        "takes for background it gives 2, 0, not 1, 0",
    ),
    (lambda s, t, z: (s - t).abs().mean(-1).gather(1, z.argmax(-1, True))[:, 0], "raised"),
]


def whole_ones(killed, every, broken):
    return 0 if broken >= min(killed // every, 2) else (killed // every - broken) * every


RESUME = [
    (whole_ones, "Right: "),
    (lambda killed, every, broken: killed, "0 broken: it gives 250, not 200"),
    (lambda killed, every, broken: (killed // every - broken) * every, "never below 0"),
    (lambda k, e, broken: max(0, (k // e - broken) * e), "only the last two"),
]


def relative(x, y, w, h, width, height):
    return [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]


BOXES = [
    (relative, "Right: "),
    (lambda x, y, w, h, W, H: [x * W, y * H, w * W, h * H], "is the centre"),
    (lambda *given: [80, 30, 120, 70], "two corners"),
    (lambda x, y, w, h, W, H: [x - w / 2, y - h / 2, w, h], "counts pixels"),
    (lambda *given: [80, 30, 40, 40], "not 0, 240, 128, 240"),
    (lambda *given: [round(v) for v in relative(*given)], "not 74.925, 21.175, 49.95, 19.25"),
]


def halves(scores, truth, positive, least=1, own=False):
    """Both parts, per positive; wrong with ``own``, or where nothing is positive with 0."""
    apart = (scores - truth).abs().sum(-1)
    count = positive.sum().clamp(min=least)
    return apart[positive].sum() / count, apart[~positive].sum() / (1 if own else count)


def own_mean(scores, truth, positive):
    apart = (scores - truth).abs().sum(-1)
    return halves(scores, truth, positive)[0], apart[~positive].mean()


SPLIT = [
    (halves, "Right"),
    (lambda *given: halves(*given, own=True), "divided by the number of positives"),
    (own_mean, "divided by the number of positives, not by its own"),
    (lambda s, t, p: halves(s[:, :1], t[:, :1], p), "add up all classes, not one"),
    (lambda *given: halves(*given, least=0), "without any positive"),
    (lambda s, t, p: (0.0, 0.0), "for two positives of five it gives 0, 0, not 0.35, 0.5"),
]
CASES = {
    check_align: ALIGN,
    check_gain: GAIN,
    check_ratio: RATIO,
    check_translation: TRANSLATION,
    check_gini: GINI,
    check_distance: DISTANCE,
    check_verdict: VERDICT,
    check_layers: LAYERS,
    check_keep: KEEP,
    check_agreement: AGREEMENT,
    check_region: REGION,
    check_best: BEST,
    check_resume: RESUME,
    check_boxes: BOXES,
    check_split: SPLIT,
}


@pytest.mark.parametrize("judge", CASES, ids=lambda judge: judge.__name__)
def test_a_judge_knows_right_from_wrong_and_hints(judge):
    for answer, said in CASES[judge]:
        told = judge(answer)
        assert said in told
        assert told.startswith("Right: " if said.startswith("Right") else "Not yet: "), told


CURVES = pd.DataFrame(
    {
        "method": ["none", "KD", "CrossKD"] * 2,
        "seed": 0,
        "step": [1] * 3 + [2] * 3,
        "AP": [30.0, 20.0, 10.0, 18.0, 17.0, 26.0],
    }
)


def test_a_guess_is_judged_pair_by_pair_at_the_end():
    answer = judge_guess({"none": 1, "KD": 2, "CrossKD": 3}, CURVES)
    assert answer.startswith("2 of 3 pairs")
    assert "KD ended below none" in answer
    assert judge_guess({"none": 2, "KD": 1, "CrossKD": 3}, CURVES).startswith("3 of 3 pairs")


def test_a_guess_that_cannot_be_judged_is_told():
    assert "leaves out CrossKD" in judge_guess({"none": 1, "KD": 2}, CURVES)
    unmade = dict.fromkeys(("none", "KD", "CrossKD"))
    assert "leaves out CrossKD, KD, none" in judge_guess(unmade, CURVES)
    twice = judge_guess({"none": 1, "KD": 2, "CrossKD": 2}, CURVES)
    assert "two methods in one place" in twice
    flat = CURVES.assign(AP=0.01)
    assert "no order" in judge_guess({"none": 1, "KD": 2, "CrossKD": 3}, flat)
