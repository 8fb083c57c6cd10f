"""Hours, memory and cost of a recipe on more GPUs than are here, from one measured step."""

from .communication import Link, bucket_count, exposed_seconds, ring_seconds
from .measurement import Measurement, Work, newest
from .outlook import outlook

__all__ = [
    "Link",
    "Measurement",
    "Work",
    "bucket_count",
    "exposed_seconds",
    "newest",
    "outlook",
    "ring_seconds",
]
