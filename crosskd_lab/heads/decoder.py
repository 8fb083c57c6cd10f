"""The decoder of Deformable DETR (Zhu et al. 2021) as a head of layers.

f_i is the queries after i decoder layers, f_0 those that enter the first. Every layer predicts, so
"levels" are decoder layers here, and places are queries. What is delivered into the teacher's
layers, queries or memory, is the method's choice: see ``methods/decoder_crosskd.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from mmdet.models.layers import inverse_sigmoid
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from mmdet.utils import reduce_mean
from torch import Tensor

from ..losses import kd_quality_focal
from .base import (
    BRANCHES,
    HeadDefaults,
    HeadFamily,
    HeadTaps,
    Levels,
    Predictions,
    Targets,
    record_calls,
)


@dataclass(frozen=True)
class DecoderTaps(HeadTaps):
    """One detector's decoder on one batch: L layers, Q queries of C channels.

    Attributes:
        memory: The encoder's output, ``(N, V, C)``.
        query_pos: ``(N, Q, C)``, added to the queries in every layer.
        entering: The queries that enter layers 1 ... L, each ``(N, Q, C)``.
        references: The reference points that enter them, ``(N, Q, 2)`` or boxes ``(N, Q, 4)``
            (cxcywh), in shares of the image.
        places: Masks, shapes and valid ratios of the memory, as mmdet's decoder takes them.
    """

    memory: Tensor
    query_pos: Tensor
    entering: Levels
    references: Levels
    places: Mapping[str, Tensor]


class DecoderAdapter(HeadFamily):
    """Reads ``DeformableDETR``, with or without box refinement and two stages.

    Distances are those of the authors' branch: cross-entropy to the teacher's scores (beta 0, so
    it is not 0 between equals) over N * Q, and L1 of xyxy boxes in pixels.
    """

    family = "decoder"
    defaults: ClassVar[HeadDefaults] = HeadDefaults(layer=0, beta=0.0, align="none")
    hidden = "decoder layers"
    anchors = 1

    def __init__(self, detector: Any) -> None:
        self.head, self.decoder = detector.bbox_head, detector.decoder
        self.strides = tuple(range(detector.num_feature_levels))  # the levels by number
        self.queries = int(detector.num_queries)

    @property
    def depth(self) -> int:
        """L, the number of decoder layers."""
        return int(self.decoder.num_layers)

    def channels(self, branch: str, i: int) -> int:
        """Channels of a query."""
        self.check_layer(i)
        return int(self.decoder.embed_dims)

    # --- one step -------------------------------------------------------------------------------
    def student_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str
    ) -> tuple[DecoderTaps, dict[str, Any], Targets]:
        """Stock's own step, recorded."""
        with record_calls(self.head, "get_targets") as targets:
            taps, losses = self._listen(detector, inputs, data_samples, "loss")
        labels = torch.stack(targets[self.depth - 1][0])  # (N, Q)
        ones = torch.ones_like(labels, dtype=torch.float32)
        boxes = ones.new_zeros(*labels.shape, 4)
        # What the authors divide by: every query of every image, matched or not.
        return taps, losses, Targets(labels, ones, boxes, float(labels.numel()), self.num_classes)

    def teacher_step(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], tap: str, student: HeadTaps
    ) -> DecoderTaps:
        """The teacher's own queries on its own memory."""
        return self._listen(detector, inputs, data_samples, "_forward")[0]

    def _listen(
        self, detector: Any, inputs: Tensor, data_samples: list[Any], run: str
    ) -> tuple[DecoderTaps, Any]:
        """Run ``detector.<run>`` and keep what went through its transformer."""
        with (
            record_calls(detector, "extract_feat") as necks,
            record_calls(detector, "pre_transformer") as places,
            record_calls(detector, "pre_decoder") as starts,
            record_calls(detector, "forward_decoder") as ends,
            record_calls(self.head, "forward") as prediction,
        ):
            result = getattr(detector, run)(inputs, data_samples)
        start, end = starts[0][0], ends[0]
        reached = (start["query"], *end["hidden_states"])
        tower = tuple((f,) for f in reached)
        cls, boxes = prediction[0]
        taps = DecoderTaps(
            neck=tuple(necks[0]),
            towers=dict.fromkeys(BRANCHES, tower),
            predictions=Predictions(tuple(cls), tuple(boxes)),
            memory=start["memory"],
            query_pos=start["query_pos"],
            entering=reached[:-1],
            references=tuple(end["references"][: self.depth]),
            places=places[0][1],
        )
        return taps, result

    # --- the decoder, a layer at a time -----------------------------------------------------------
    def through(self, layer: int, asks: DecoderTaps, memory: Tensor) -> Predictions:
        """One decoder layer, 0 ... L - 1, and its two predictors; equals the stock detector's to
        the bit.

        The queries and references of ``asks`` enter it and attend to ``memory`` ``(N, V, C)``.
        Class logits ``(N, Q, K)`` and boxes ``(N, Q, 4)``, cxcywh in shares of the image, come out.
        """
        reference, places = asks.references[layer], asks.places  # (N, Q, 2) or (N, Q, 4)
        ratios = places["valid_ratios"].repeat(1, 1, reference.size(-1) // 2)  # (N, levels, 2 or 4)
        out = self.decoder.layers[layer](
            asks.entering[layer],
            query_pos=asks.query_pos,
            value=memory,
            key_padding_mask=places["memory_mask"],
            spatial_shapes=places["spatial_shapes"],
            level_start_index=places["level_start_index"],
            valid_ratios=places["valid_ratios"],
            reference_points=reference[:, :, None] * ratios[:, None],
        )
        moved = self.head.reg_branches[layer](out)  # (N, Q, 4)
        known = inverse_sigmoid(reference)  # (N, Q, 2) or (N, Q, 4)
        moved = torch.cat([moved[..., : known.size(-1)] + known, moved[..., known.size(-1) :]], -1)
        return Predictions((self.head.cls_branches[layer](out),), (moved.sigmoid(),))

    # --- what eq. (2) needs ---------------------------------------------------------------------
    def flat_cls(self, predictions: Predictions) -> Tensor:
        """Class logits of the last layer given, ``(N, Q, K)``."""
        return predictions.cls[-1].float()

    def cls_distance(self, prediction: Predictions, target: Predictions) -> Tensor:
        """Quality focal loss towards the teacher's scores, ``(N, Q)``, of the last layer given."""
        soft_label = self.flat_cls(target).sigmoid()  # (N, Q, K)
        return kd_quality_focal(self.flat_cls(prediction), soft_label, self.defaults.beta)

    def reg_distance(
        self, prediction: Predictions, target: Predictions, metas: list[dict]
    ) -> Tensor:
        """Mean |difference| of the boxes' xyxy in input pixels, ``(N, Q)``, of the last layer."""
        sizes = [[meta["img_shape"][1], meta["img_shape"][0]] * 2 for meta in metas]
        scale = prediction.reg[-1].new_tensor(sizes, dtype=torch.float32)[:, None]  # (N, 1, 4)
        ours, theirs = (
            bbox_cxcywh_to_xyxy(boxes.float()) * scale
            for boxes in (prediction.reg[-1], target.reg[-1].detach())
        )
        return (ours - theirs).abs().mean(-1)

    def box_normaliser(self, weight: Tensor, targets: Targets) -> Tensor:
        """The sum of S(r): a weighted mean over queries; averaged over processes."""
        return reduce_mean(weight.sum())
