"""Convolutions that compute with weights of their own: cast to bf16, BatchNorm folded in.

Under autocast every normalisation leaves bf16 and comes back, and costs two passes over its map.
Here activations stay bf16 from the image to the prediction. The master weights stay float32 and are
cast once a step; BatchNorm whose statistics are frozen is an affine map, which is multiplied into
the weights of the convolution before it (gradients flow through that product). Statistics of
GroupNorm and of the alignment, and all losses, are computed in float32.

A frozen teacher's weights are made once: in float32 too, so it runs without BatchNorm.
"""

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, Scale
from torch import Tensor, nn

from ..errors import LabError

Made = tuple[Tensor, Tensor | None]
Function = TypeVar("Function", bound=Callable[..., Any])
_state = {"compiling": False}


def compile_hot(on: bool = True) -> None:
    """Compile hot functions from now on (or no longer), on GPUs."""
    _state["compiling"] = on


def hot(function: Function) -> Function:
    """Mark a function of tensors, the first argument one of them, as worth compiling.

    By itself, for whole networks take minutes. Where torch cannot compile it runs as it is written,
    after one line of warning; the numbers are the same but for rounding.
    """
    compiled = functools.cache(lambda: torch.compile(function, dynamic=True))

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not (_state["compiling"] and args[0].is_cuda):
            return function(*args, **kwargs)
        try:
            return compiled()(*args, **kwargs)
        except Exception as error:  # no compiler, no Triton, a graph that torch does not take
            compile_hot(False)
            reason = str(error).strip().splitlines() or [type(error).__name__]
            warnings.warn(f"torch cannot compile here, going on without: {reason[0]}", stacklevel=2)
            return function(*args, **kwargs)

    return cast(Function, call)


@hot
def group_norm(
    x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float, rectify: bool
) -> Tensor:
    """GroupNorm of ``(N, C, H, W)``, statistics in float32, and ReLU where asked for."""
    n, c, h, w = x.shape
    y = x.permute(0, 2, 3, 1).reshape(n, h * w, groups, c // groups).float()
    variance, mean = torch.var_mean(y, dim=(1, 3), correction=0, keepdim=True)
    y = (y - mean) * torch.rsqrt(variance + eps)
    y = y.reshape(n, h * w, c) * weight + bias
    y = y.relu() if rectify else y
    return y.to(x.dtype).view(n, h, w, c).permute(0, 3, 1, 2)


class Weights:
    """What the convolutions of one detector compute with; its own parameters stay as they are.

    ``frozen`` weights never change (a teacher's): they are made once, without gradient. LabError in
    bf16, where the detector holds layers that this knows nothing of.
    """

    def __init__(self, detector: Any, dtype: torch.dtype, frozen: bool) -> None:
        self.dtype, self.frozen, self.active = dtype, frozen, frozen
        self.norms = norms_behind(detector)
        self.folded: set[nn.Module] = set()
        self.made: dict[nn.Module, Made] = {}
        self._seen: list[tuple[int, int]] = []
        half = dtype == torch.bfloat16
        if half:
            check_layers(detector)
        self.convs: list[Any] = [m for m in detector.modules() if type(m) is nn.Conv2d]
        if not half:  # only what a BatchNorm is folded into
            self.convs = [conv for conv in self.convs if conv in self.norms]
        module: Any
        for module in list(detector.modules()):
            kind = type(module)
            if half and kind is ConvModule and _fusible(module):
                module.forward = partial(_norm_act, module)
            elif half and kind is nn.GroupNorm:
                module.forward = partial(_normed, module)
        for conv in self.convs:
            conv.forward = partial(self.convolve, conv)
        for norm in self.norms.values():
            norm.forward = partial(self.normalise, norm)
        detector.backbone.register_forward_pre_hook(self.begin)

    def begin(self, backbone: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
        """Before each forward of the backbone: make the weights. A student in evaluation mode
        predicts in float32, from its own."""
        self.active = self.frozen or backbone.training
        if not self.active:
            return None
        if self.frozen:
            seen = [(conv.weight.data_ptr(), conv.weight._version) for conv in self.convs]
            if seen != self._seen:
                with torch.no_grad():
                    self.make()
                self._seen = seen
        else:
            self.make()
        if self.dtype != torch.bfloat16:
            return None
        return (inputs[0].to(self.dtype, memory_format=torch.channels_last),)

    def make(self) -> None:
        """Fold and cast all weights."""
        norms = {conv: norm for conv, norm in self.norms.items() if not norm.training}
        self.folded = set(norms.values())
        factors, shifts = _affine(list(norms.values()))
        affine = dict(zip(norms, zip(factors, shifts, strict=True), strict=True))
        for conv in self.convs:
            weight, bias = conv.weight, conv.bias
            if conv in affine:
                factor, shift = affine[conv]
                weight = weight * factor[:, None, None, None]
                bias = shift if bias is None else bias * factor + shift
            if self.dtype != weight.dtype:
                weight = weight.to(self.dtype, memory_format=torch.channels_last)
            self.made[conv] = (weight, None if bias is None else bias.to(self.dtype))

    def convolve(self, conv: Any, x: Tensor) -> Tensor:
        """A convolution with the weights that were made for it."""
        if not self.active:
            return nn.Conv2d.forward(conv, x)
        weight, bias = self.made[conv]
        rest = (conv.stride, conv.padding, conv.dilation, conv.groups)
        x = x.to(weight.dtype)
        if weight.dtype == torch.bfloat16 and not weight.is_cuda:
            # On a CPU torch 2.13's own bf16 convolutions overwrite memory at times (NaN, aborts).
            # Products of bf16 numbers summed in float32 are what a GPU computes, too.
            bias = None if bias is None else bias.float()
            return F.conv2d(x.float(), weight.float(), bias, *rest).to(x.dtype)
        return F.conv2d(x, weight, bias, *rest)

    def normalise(self, norm: Any, x: Tensor) -> Tensor:
        """A BatchNorm behind a convolution: nothing, where it was folded into its weights."""
        return x if self.active and norm in self.folded else type(norm).forward(norm, x)


def _affine(norms: list[Any]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Factor and shift of each BatchNorm; all at once, for each alone is a dozen tiny kernels."""
    if not norms:
        return (), ()
    sizes = [norm.num_features for norm in norms]
    eps = torch.cat([norm.running_var + norm.eps for norm in norms])
    factor = torch.cat([norm.weight for norm in norms]) * eps.rsqrt()
    mean = torch.cat([norm.running_mean for norm in norms])
    shift = torch.cat([norm.bias for norm in norms]) - mean * factor
    return factor.split(sizes), shift.split(sizes)


def _normed(norm: Any, x: Tensor, rectify: bool = False) -> Tensor:
    """GroupNorm, and ReLU where asked for."""
    if x.dtype != torch.bfloat16:
        x = nn.GroupNorm.forward(norm, x)
        return x.relu() if rectify else x
    return group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps, rectify)


def _norm_act(module: Any, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
    """A ConvModule that :func:`_fusible` holds for."""
    rectify = activate and module.with_activation
    x = module.conv(x)
    if norm:
        return _normed(module.norm, x, rectify)
    return module.activate(x) if rectify else x


def _fusible(module: Any) -> bool:
    """A conv, GroupNorm and ReLU in this order."""
    return (
        module.order == ("conv", "norm", "act")
        and not module.with_explicit_padding
        and isinstance(module.norm, nn.GroupNorm)
        and (not module.with_activation or isinstance(module.activate, nn.ReLU))
    )


def norms_behind(detector: nn.Module) -> dict[nn.Module, Any]:
    """Each convolution with the BatchNorm that alone reads it, in mmdet's ResNets and the like.

    RTMDet's levels share convolutions and have a norm each: those are left out.
    """
    found = list(_norms(detector))
    readers = Counter(conv for conv, _ in found)
    return {conv: norm for conv, norm in found if readers[conv] == 1}


def _norms(detector: nn.Module) -> Iterator[tuple[nn.Module, Any]]:
    """Each convolution and a BatchNorm that comes right behind it."""
    for module in detector.modules():
        pairs: list[tuple[Any, Any]] = []
        if isinstance(module, ConvModule):
            if module.order.index("norm") == module.order.index("conv") + 1:
                pairs = [(module.conv, module.norm)]
        elif isinstance(module, nn.Sequential):
            children = list(module)
            pairs = list(zip(children, children[1:], strict=False))
        else:
            pairs = [
                (getattr(module, f"conv{k}", None), getattr(module, getattr(module, name), None))
                for k in (1, 2, 3)
                if hasattr(module, name := f"norm{k}_name")
            ]
        for conv, norm in pairs:
            usual = isinstance(norm, nn.BatchNorm2d) and norm.affine and norm.track_running_stats
            if type(conv) is nn.Conv2d and usual:
                yield conv, norm


def check_layers(detector: nn.Module) -> None:
    """Raise LabError where a layer with weights would not run on bf16 maps."""
    known = (nn.Conv2d, nn.BatchNorm2d, nn.GroupNorm, Scale)
    for name, module in detector.named_modules():
        own = next(module.parameters(recurse=False), None) is not None
        if own and type(module) is not nn.Conv2d and not isinstance(module, known[1:]):
            raise LabError(
                f"bf16 is for detectors of convolutions, BatchNorm and GroupNorm; {name} is "
                f"{type(module).__name__}: train in fp32"
            )
