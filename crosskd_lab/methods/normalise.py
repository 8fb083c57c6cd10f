"""What methods do to feature maps before they compare them: pure functions, in float32."""

from __future__ import annotations

from torch import Tensor

from ..errors import LabError

SCOPES = {"sample": (1, 2, 3), "channel": (2, 3), "map": (0, 1, 2, 3)}


def min_max(feature: Tensor, scope: str = "sample", eps: float = 1e-6) -> Tensor:
    """Stretch ``(N, C, H, W)`` to [0, 1]; constant maps become 0.

    Args:
        feature: Any map.
        scope: Over what the extremes are taken: each "sample" with all its channels, each
            "channel" of a sample, or the whole "map" with all samples.
        eps: Least range that is stretched.

    Raises:
        LabError: for an unknown scope.
    """
    if scope not in SCOPES:
        raise LabError(f"scope = {scope!r} is unknown: choose one of {', '.join(SCOPES)}")
    feature, over = feature.float(), SCOPES[scope]
    low, high = feature.amin(over, keepdim=True), feature.amax(over, keepdim=True)
    return (feature - low) / (high - low).clamp(min=eps)


def spatial_attention(feature: Tensor, temperature: float) -> Tensor:
    """``HW * softmax over space of (mean over channels of |F|) / T``, ``(N, H, W)``, mean 1."""
    strength = feature.float().abs().mean(1) / temperature
    return strength[0].numel() * strength.flatten(1).softmax(1).view_as(strength)


def channel_attention(feature: Tensor, temperature: float) -> Tensor:
    """``C * softmax over channels of (mean over space of |F|) / T``, ``(N, C)``, mean 1."""
    strength = feature.float().abs().mean((2, 3)) / temperature
    return strength.size(1) * strength.softmax(1)
