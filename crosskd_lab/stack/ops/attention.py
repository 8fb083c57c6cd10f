"""Multi-scale deformable attention (Zhu et al., Deformable DETR, ICLR 2021, Eq. 3).

mmcv has a PyTorch form of it, used on CPU tensors; these two give it the compiled op's place, so
that CUDA tensors find it too. Shapes: ``value`` `(B, ΣHW, M, D)`; ``shapes`` `(L, 2)` as (H, W);
``locations`` `(B, Q, M, L, P, 2)` as (x, y) in [0, 1]; ``weights`` `(B, Q, M, L, P)`; outputs
`(B, Q, M·D)`.
"""

from torch import Tensor

from .common import fill_gradients, through_float32


def ms_deform_attn_forward(*tensors: Tensor, im2col_step: int) -> Tensor:
    """The weighted sum of bilinear samples, `(B, Q, M·D)`."""
    value, shapes, _, locations, weights = tensors
    return _attend(value, shapes, locations, weights)


def ms_deform_attn_backward(*tensors: Tensor, im2col_step: int) -> None:
    """Fills the last three, gradients, from ``grad_output`` `(B, Q, M·D)` before them."""
    value, shapes, _, locations, weights, grad_output, *targets = tensors
    inputs = [value, locations, weights]
    fill_gradients(targets, lambda v, p, a: _attend(v, shapes, p, a), inputs, grad_output)


@through_float32
def _attend(value: Tensor, shapes: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    # As plain numbers the shapes cost one wait for the GPU rather than one a level.
    return multi_scale_deformable_attn_pytorch(value, shapes.tolist(), locations, weights)
