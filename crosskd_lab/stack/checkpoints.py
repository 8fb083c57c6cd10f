"""Reading and writing weights without ever running code that a file brings along.

A ``.pth`` file is a pickle, and a pickle may call anything. Everything here reads through
torch's restricted unpickler (``weights_only=True``), with exactly the harmless classes let in
that mmengine puts into its checkpoints: its log history and NumPy numbers. So checkpoints of
training runs, ours or foreign, resume as they are, and there is no unrestricted path.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LabError
from ..files import write_whole

if TYPE_CHECKING:  # torch is imported where it is used, so that sha256 costs no import of it
    from torch import Tensor

_SAFETENSORS = ".safetensors"
_NUMBER_CODES = "?bhilqBHILQefd"  # NumPy's characters for its bool, integer and float types
_DTYPES = ["float64", "float32", "float16", "bfloat16"]
_DTYPES += ["int64", "int32", "int16", "int8", "uint8", "bool"]
_NUMBERS = ("weight", "bias", "running_mean", "running_var")  # never integers in any layer
_STATISTICS = ("min", "max", "mean", "current")
HOLDERS = ("model", "model_state_dict")
"""Other names than ``state_dict`` under which a checkpoint may have its weights."""
_REMEDY = "fetch it again, or point to a .safetensors or .pth file with weights"


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The named weights in a ``.safetensors`` or PyTorch file, on the CPU.

    Of a PyTorch file that holds a ``state_dict`` entry, as mmengine's do, that entry is taken. Half
    precision (float16, bfloat16) becomes float32. Raises ``LabError`` for a file that is missing,
    damaged, no checkpoint, or that asks for code to be run.
    """
    import torch

    checkpoint = load_from_local(path, "cpu")
    weights = checkpoint.get("state_dict", checkpoint)
    if not weights:
        raise LabError(f"{path} holds no weights: {_REMEDY}")
    for name, tensor in weights.items():
        if not isinstance(tensor, torch.Tensor):
            raise LabError(
                f"{path}: {name!r} is of type {type(tensor).__name__}, not a weight: {_REMEDY}"
            )
    return {name: _widened(tensor) for name, tensor in weights.items()}


def save_weights(
    state_dict: Mapping[str, Tensor],
    path: str | os.PathLike[str],
    *,
    half: bool = True,
    classes: Sequence[str] | None = None,
) -> None:
    """Writes weights as ``.safetensors``, in whole or not at all, ``classes`` noted in the file's
    head.

    ``half`` stores floating point tensors as float16, which halves the file and keeps about three
    decimal digits. LabError for another suffix, or a weight that is too large for float16.
    """
    from safetensors.torch import save

    path = Path(path)
    if path.suffix != _SAFETENSORS:
        raise LabError(f"{path}: weights are saved as {_SAFETENSORS}; give the file that suffix")
    stored = {name: _stored(name, tensor, half) for name, tensor in state_dict.items()}
    noted = {"classes": json.dumps(list(classes))} if classes else {}
    write_whole(path, save(stored, metadata={"format": "pt", **noted}))


def load_from_local(filename: str | os.PathLike[str], map_location: Any = None) -> dict[str, Any]:
    """A whole checkpoint in a file.

    ``map_location`` is ``torch.load``'s. Weights in an entry of ``HOLDERS`` become the
    ``state_dict``. A ``.safetensors`` file comes as its ``state_dict`` in float32 with its head's
    ``meta`` data, decoded where they are JSON. Raises ``LabError`` as ``read_weights`` does.
    """
    path = Path(filename).expanduser()
    if not os.path.isfile(path):  # False also for names that no file can have
        raise LabError(f"there is no file {path}: check the path")
    if path.suffix.lower() == _SAFETENSORS:
        return _read_safetensors(path)
    checkpoint = _restricted_load(path, map_location)
    if not isinstance(checkpoint, dict):
        raise LabError(f"{path} holds one {type(checkpoint).__name__}, no checkpoint: {_REMEDY}")
    if other := next((name for name in HOLDERS if _holds_weights(checkpoint.get(name))), None):
        checkpoint.setdefault("state_dict", checkpoint.pop(other))
    if not isinstance(checkpoint.get("state_dict", {}), dict):
        raise LabError(f"{path} holds no weights: {_REMEDY}")
    _check_weights(path, checkpoint.get("state_dict", checkpoint))
    if isinstance(meta := checkpoint.get("meta"), dict):
        meta.pop("config", None)  # mmengine would run this text as a config file when it resumes
    return checkpoint


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import safe_open
    from safetensors.torch import load_file

    try:
        weights = load_file(path)
    except Exception as error:  # a broken header makes the library raise whatever it stumbles on
        raise LabError(f"{path} is damaged or no safetensors file ({error}): {_REMEDY}") from error
    _check_weights(path, weights)
    meta: dict[str, Any] = {}
    with safe_open(path, "pt") as file:
        for key, text in (file.metadata() or {}).items():
            try:
                meta[key] = json.loads(text)
            except (ValueError, RecursionError):
                meta[key] = text
    return {"state_dict": {name: _widened(t) for name, t in weights.items()}, "meta": meta}


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if str(tensor.dtype) in ("torch.float16", "torch.bfloat16") else tensor


def _holds_weights(found: Any) -> bool:
    """Whether an entry of a checkpoint is what it says, and no description of the model."""
    import torch

    return isinstance(found, dict) and any(isinstance(v, torch.Tensor) for v in found.values())


def _check_weights(path: Path, weights: dict[str, Any]) -> None:
    """Raise LabError for a tensor that no layer can have as its weight, by its key."""
    import torch

    for name, tensor in weights.items():
        if not isinstance(tensor, torch.Tensor):
            continue
        if str(tensor.dtype).removeprefix("torch.") not in _DTYPES:
            wrong = f"of type {tensor.dtype}"
        elif tensor.is_meta or tensor.layout != torch.strided or _is_expanded(tensor):
            wrong = "without values of its own"
        elif str(name).rpartition(".")[2] in _NUMBERS and not tensor.is_floating_point():
            wrong = f"of integers ({tensor.dtype}), as a quantised model's"
        elif not tensor.isfinite().all():
            wrong = "not finite (NaN or infinite)"
        else:
            continue
        raise LabError(f"{path}: {name!r} is {wrong}, so it is no weight: {_REMEDY}")


def _is_expanded(tensor: Tensor) -> bool:
    """Whether it is larger than what the file holds of it: one number as a thousand."""
    return tensor.nbytes > tensor.untyped_storage().nbytes()


def _restricted_load(path: Path, map_location: Any) -> Any:
    import torch

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                if sum(part.file_size for part in packed.infolist()) > path.stat().st_size:
                    raise zipfile.BadZipFile("it unpacks to more than it has")
                # torch reads past the checksums: a flipped bit can give a weight another's numbers
                if wrong := packed.testzip():
                    raise zipfile.BadZipFile(wrong)
        with torch.serialization.safe_globals(_harmless_globals()):
            return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise whatever it stumbles on
        raise LabError(_reason(path, error)) from error


def _reason(path: Path, error: Exception) -> str:
    message = str(error)
    if isinstance(error, PermissionError):
        return f"{path} cannot be read ({error.strerror}): give yourself the right to"
    asked = re.search(r"GLOBAL (\S+)", message)
    if isinstance(error, pickle.UnpicklingError) and asked:
        return (
            f"{path} asks to run {asked[1]!r} while it is read, which weights never need: "
            "nothing was run; use a file from a source that you trust"
        )
    return f"{path} is damaged or not a checkpoint ({type(error).__name__}): {_REMEDY}"


def _harmless_globals() -> list[Any]:
    """Classes and functions let in, with the names under which pickles ask for them."""
    import numpy as np
    from mmengine.logging import HistoryBuffer
    from numpy._core import multiarray

    rebuild, scalar = multiarray._reconstruct, multiarray.scalar
    return [
        HistoryBuffer,
        (_history_statistic, "builtins.getattr"),
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in _NUMBER_CODES},
        # NumPy 1 wrote the first name of each, NumPy 2 writes the second.
        (rebuild, "numpy.core.multiarray._reconstruct"),
        (rebuild, "numpy._core.multiarray._reconstruct"),
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
    ]


def _history_statistic(owner: type, name: str) -> Callable[..., Any]:
    """Stands in for ``getattr``, by which a pickled log history names its own four methods."""
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(f"unsupported GLOBAL builtins.getattr({owner}, {name!r})")
    return getattr(HistoryBuffer, name)


def _stored(name: str, tensor: Tensor, half: bool) -> Tensor:
    """A contiguous copy on the CPU that shares its memory with no other weight."""
    copy = tensor.detach().cpu().contiguous().clone()
    if not half or not copy.is_floating_point():
        return copy
    narrow = copy.half()
    if (narrow.isinf() & ~copy.isinf()).any():
        raise LabError(f"weight {name!r} is too large for float16: save with half=False")
    return narrow
