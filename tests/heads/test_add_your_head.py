"""The recipe of docs/add_your_head.md, followed to the letter with a toy head."""

import re
from pathlib import Path

import pytest
import torch
from mmdet.models.dense_heads import RetinaHead
from mmdet.registry import MODELS
from torch import nn

from crosskd_lab.distiller import Distiller
from crosskd_lab.errors import LabError
from crosskd_lab.heads import ADAPTERS, adapter_for
from crosskd_lab.methods.crosskd import CrossKD, PredictionMimicking
from crosskd_lab.pair import Pair

RECIPE = Path(__file__).resolve().parents[2] / "docs" / "add_your_head.md"
HEADS = RECIPE.with_name("heads.md")


class MyHead(RetinaHead):
    """A head that mmdet has not: five anchors, predictors of its own names and 1x1 kernels."""

    def _init_layers(self) -> None:
        super()._init_layers()
        self.my_cls = nn.Conv2d(self.feat_channels, self.num_base_priors * self.num_classes, 1)
        self.my_reg = nn.Conv2d(self.feat_channels, self.num_base_priors * 4, 1)
        del self.retina_cls, self.retina_reg

    def forward_single(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cls, reg = x, x
        for cls_conv, reg_conv in zip(self.cls_convs, self.reg_convs, strict=True):
            cls, reg = cls_conv(cls), reg_conv(reg)
        return self.my_cls(cls), self.my_reg(reg)


@pytest.fixture
def my_head(monkeypatch):
    """The family's entry in mmdet's registry while a test runs, and the changes it takes."""
    monkeypatch.setitem(MODELS._module_dict, "MyHead", MyHead)
    known = dict(ADAPTERS)
    generator = dict(
        type="AnchorGenerator",
        octave_base_scale=4,
        scales_per_octave=5,
        ratios=[1.0],
        strides=[8, 16, 32, 64, 128],
    )
    yield dict(type="MyHead", anchor_generator=generator, init_cfg=None)
    ADAPTERS.clear()
    ADAPTERS.update(known)


def recipe():
    (block,) = re.findall(r"```python\n(.*?)```", RECIPE.read_text(), re.DOTALL)
    return block


def test_a_head_without_adapter_is_told_what_to_write(detector, my_head):
    with pytest.raises(LabError, match=r"MyHead has no adapter .* docs/add_your_head.md"):
        adapter_for(detector("retinanet", **my_head).bbox_head)


def test_the_recipe_serves_a_new_head(detector, batch, my_head):
    code = recipe()
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 30
    exec(code, {})
    model = detector("retinanet", **my_head)
    neck = model.extract_feat(batch[0])
    walked = adapter_for(model.bbox_head).forward_towers(neck).predictions
    for ours, theirs in zip((walked.cls, walked.reg), model.bbox_head(neck), strict=True):
        assert all(map(torch.equal, ours, theirs))
    for teacher in (detector("retinanet", seed=2, **my_head), detector("gfl", seed=2)):
        pair = Pair(detector("retinanet", seed=1, **my_head), teacher)
        losses = Distiller(pair=pair, methods=[CrossKD(), PredictionMimicking()]).loss(*batch)
        terms = [value for name, value in losses.items() if "kd" in name]
        assert len(terms) == 4 and all(value.isfinite() and value > 0 for value in terms)


def test_the_list_of_heads_is_that_of_the_adapters():
    rows = re.findall(r"^\| `(\w+)` \| (\d) \| (\d) \|", HEADS.read_text(), re.MULTILINE)
    assert {name: int(i) for name, _, i in rows} == {
        name: adapter.defaults.layer for name, adapter in ADAPTERS.items()
    }
