"""Checkpoints by every name that a config may use: files, addresses, and models of the zoos.

mmengine has a reader for each kind of name, and each of them runs what a pickle asks for. Here is
one for all: the file comes to this machine, where the restricted reader of
:mod:`crosskd_lab.stack.checkpoints` takes the weights out of it.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import LabError
from .checkpoints import load_from_local
from .download import ELSEWHERE, download


def register_checkpoint_loader() -> None:
    """Has mmengine read every checkpoint by ``load_checkpoint``, whatever its name begins with."""
    from mmengine.runner.checkpoint import CheckpointLoader

    CheckpointLoader._schemes = {"": load_checkpoint}  # its own readers are gone


def load_checkpoint(
    filename: str | os.PathLike[str], map_location: Any = None
) -> dict[str, Any]:  # mmengine makes a log line of the name from its tenth letter on
    """A whole checkpoint for mmengine's ``load_from``, ``resume`` and ``init_cfg``, weights only.

    ``filename`` is a file, an address (``http://``, ``https://``), or a model's name behind
    ``torchvision://``, ``modelzoo://``, ``open-mmlab://``, ``openmmlab://`` or ``mmcls://``. What
    is fetched is kept where torch's hub keeps its files. LabError for another scheme or model.
    """
    from mmengine.runner import checkpoint as theirs

    scheme, mark, name = str(filename).partition("://")
    if not mark:
        return load_from_local(filename, map_location)
    match scheme.lower():
        case "http" | "https":
            return _load_address(str(filename), map_location)
        case "torchvision" | "modelzoo":
            place = _model(filename, name, theirs.get_torchvision_models())
        case "open-mmlab" | "openmmlab":
            name = theirs.get_deprecated_model_names().get(name, name)
            place = _model(filename, name, theirs.get_external_models())
        case "mmcls":
            place = _model(filename, name, theirs.get_mmcls_models())
            return theirs._process_mmcls_checkpoint(load_checkpoint(place, map_location))
        case _:
            raise LabError(
                f"{filename}: checkpoints are not read from {scheme}://: copy the file to this "
                "machine and name it"
            )
    return load_checkpoint(place, map_location)


def hub_file(url: str) -> Path:
    """Where the file of an address is kept: torch's hub's cache.

    By its own name if that ends in a checksum, as the zoos' do; another name may stand for several
    files, so a mark of the address goes before it.
    """
    import torch

    name = os.path.basename(urlsplit(url).path)
    if not re.search(r"-[0-9a-f]{8,}\.\w+$", name):
        name = f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def _load_address(url: str, map_location: Any) -> dict[str, Any]:
    file = hub_file(url)
    new = not file.exists()
    try:
        download(url, file)
    except LabError as error:
        without = "--set model.backbone.init_cfg=None"
        remedy = f"put the file at {file}, or begin without a backbone's weights: {without}"
        raise LabError(str(error).replace(ELSEWHERE, remedy)) from error
    try:
        return load_from_local(file, map_location)
    except LabError as error:
        if new:
            file.unlink(missing_ok=True)  # the next try fetches what may have been mended
        raise LabError(f"{url}: {error}") from error


def _model(filename: Any, name: str, known: Mapping[str, str]) -> str:
    if name not in known:
        raise LabError(f"{filename}: the zoo has no such model: name a checkpoint file")
    return known[name]
