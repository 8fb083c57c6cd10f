"""Walking a dense head: every f_i of its towers, on from any layer, and the predictions.

One walk serves the student, the teacher and the cross-head alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import LabError
from .family import BRANCHES, TAPS, HeadFamily
from .locations import Locations
from .tensors import HeadTaps, Levels, Predictions, Towers


class TowerHead(Locations, HeadFamily):
    """The towers of a dense head and the predictors on top of them.

    Args:
        head: A dense head of mmdet. It is never changed.

    Attributes:
        class_order: Where the classes that this adapter speaks of stand among the head's; None if
            they are the head's own. It is how a teacher answers in the student's order.

    Raises:
        LabError: where the head is built in a way that the walk cannot reproduce.
    """

    one_tower: ClassVar[bool] = False  # whether both branches have the same hidden layers

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        self.class_order: list[int] | None = None
        if not getattr(head, "use_sigmoid_cls", True):
            raise LabError(
                f"{type(head).__name__} scores classes by softmax, the lab's losses need sigmoid "
                "scores: set use_sigmoid=True in its loss_cls"
            )
        for branch in BRANCHES:
            for conv in self.tower(branch, 0):
                if getattr(conv, "order", None) != ("conv", "norm", "act"):
                    raise LabError(
                        f"{type(head).__name__}: hidden layer {type(conv).__name__} of "
                        f"the {branch} tower is not a conv-norm-act ConvModule; write an adapter "
                        "for this head"
                    )

    @property
    def rectify(self) -> Callable[[Tensor], Tensor]:
        """What an aligned f_i passes on its way in: ReLU where the hidden convs have it.

        Other activations (RTMDet's SiLU) would change a feature that has passed them already.
        """
        return F.relu if isinstance(self._activation, nn.ReLU) else _untouched

    @property
    def _activation(self) -> Any:
        tower = self.tower("cls", 0)
        return tower[0].activate if len(tower) and tower[0].with_activation else None

    # --- the towers -------------------------------------------------------------------------
    def tower(self, branch: str, level: int) -> Sequence[Any]:
        """The hidden convs C_1 ... C_{n-1} of a branch at a level (shared by all levels here)."""
        return self.head.cls_convs if branch == "cls" else self.head.reg_convs

    @property
    def depth(self) -> int:
        """Number of hidden convs, n - 1 of sec. 3.2: f_i exists for i = 0 ... depth."""
        return len(self.tower("cls", 0))

    def channels(self, branch: str, i: int) -> int:
        """Channels of f_i."""
        self.check_layer(i)
        tower = self.tower(branch, 0)
        return int(tower[i - 1].conv.out_channels if i else self.head.in_channels)

    def walk(self, neck: Levels, tap: str = "post_relu") -> HeadTaps:
        """Every f_i of both towers and the predictions, from the neck's features (sec. 3.2).

        Args:
            neck: Per level ``(N, C, H, W)``.
            tap: Whether f_i (i >= 1) is read after the activation or before it. The authors meant
                the latter, but an in-place ReLU made theirs the former.

        Returns:
            Taps whose tensors no later layer changes. The predictions equal ``head.forward`` to
            the bit (heads that act differently in training and evaluation: as in training).
        """
        if tap not in TAPS:
            raise LabError(f"tap = {tap!r} is unknown: choose one of {', '.join(TAPS)}")
        if tap == "pre_relu" and self.rectify is not F.relu:
            raise LabError(
                f"{type(self.head).__name__} activates by {type(self._activation).__name__}: "
                'tap="pre_relu" is for heads of ReLU, leave it at post_relu'
            )
        towers: Towers = {}
        last: dict[str, Levels] = {}
        for branch in BRANCHES:
            if self.one_tower and towers:
                towers[branch], last[branch] = towers[BRANCHES[0]], last[BRANCHES[0]]
                continue
            climbs = [self._climb(branch, level, f, tap) for level, f in self._numbered(neck)]
            towers[branch] = tuple(zip(*(reached for reached, _ in climbs), strict=True))
            last[branch] = tuple(top for _, top in climbs)
        return HeadTaps(tuple(neck), towers, self.predict(last))

    def _climb(
        self, branch: str, level: int, feature: Tensor, tap: str
    ) -> tuple[list[Tensor], Tensor]:
        """The f_i of one level, and what its last conv hands to the predictor."""
        reached = [feature]
        for conv in self.tower(branch, level):
            if tap == "pre_relu" and conv.with_activation:
                before = conv(feature, activate=False)
                feature = conv.activate(before.clone())  # may act in place: spare what is kept
                reached.append(before)
            else:
                feature = conv(feature)
                reached.append(feature)
        return reached, feature

    def resume(self, branch: str, features: Levels, i: int) -> Levels:
        """Run hidden convs i+1 ... depth on features that stand for f_i.

        Args:
            branch: "cls" or "reg".
            features: Per level ``(N, C, H, W)``, as conv i+1 expects its input.
            i: 0 ... depth.

        Raises:
            LabError: if i is out of range; the message names the range.
        """
        self.check_layer(i)
        out = []
        for level, feature in self._numbered(features):
            for conv in self.tower(branch, level)[i:]:
                feature = conv(feature)
            out.append(feature)
        return tuple(out)

    def predict(self, last: dict[str, Levels]) -> Predictions:
        """Apply C_n, the predictors, to the last hidden features of the given branches.

        Args:
            last: ``last[branch][level]``. A branch that is left out gives no predictions.
        """
        cls, reg = self.predict_branches(last)
        return Predictions(
            cls=tuple(self._in_order(scores) for scores in cls),
            reg=tuple(reg),
            centerness=self.predict_centerness(last),
        )

    def _in_order(self, scores: Tensor) -> Tensor:
        """``(N, A * K, H, W)`` with the classes in the order that this adapter speaks of."""
        if self.class_order is None:
            return scores
        by_class = scores.unflatten(1, (self.anchors, self.num_classes))
        return by_class[:, :, self.class_order].flatten(1, 2)

    def predict_branches(self, last: dict[str, Levels]) -> tuple[Iterable[Tensor], ...]:
        """Class and box outputs per level; heads whose branches need each other override it."""
        cls, reg = self._numbered(last.get("cls", ())), self._numbered(last.get("reg", ()))
        return (
            (self.predict_cls(level, feature) for level, feature in cls),
            (self.predict_reg(level, feature) for level, feature in reg),
        )

    def predict_cls(self, level: int, feature: Tensor) -> Tensor:
        """Class logits ``(N, A * K, H, W)`` of one level."""
        raise NotImplementedError

    def predict_reg(self, level: int, feature: Tensor) -> Tensor:
        """Box outputs ``(N, A * R, H, W)`` of one level."""
        raise NotImplementedError

    def predict_centerness(self, last: dict[str, Levels]) -> Levels | None:
        """Centerness logits per level, None for heads without them."""
        return None


def _untouched(feature: Tensor) -> Tensor:
    return feature
