"""Where the project stands, what it may use; files written whole, by one writer a folder."""

import errno
import fcntl
import hashlib
import json
import os
import shlex
import socket
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from .errors import LabError, tell_once

WRITER, LAUNCH = "writer", "launch"
"""The locks of a folder: of who writes into it, and of who was launched to have it written."""
LAUNCHED = "CROSSKD_LAUNCHED"
"""In the environment of processes that were launched: to them alone a launched folder is open."""
CGROUP = Path("/sys/fs/cgroup/cpu.max")
_held: set[int] = set()


class Busy(LabError):
    """Another process writes into the folder that one wanted to write into."""


PACKAGE = Path(__file__).resolve().parent
PROJECT = PACKAGE.parent
"""The checkout, with ``configs``, ``data`` and ``notebooks``; every path in it begins here."""


def portable_path(path: str | Path) -> str:
    """A path inside the project relative to it, with forward slashes; any other as it is.

    Words that are no absolute path, such as options of a command line, come back unchanged.
    """
    text = os.fspath(path)
    if os.path.isabs(text) and Path(text).is_relative_to(PROJECT):
        return Path(text).relative_to(PROJECT).as_posix()
    return text


def plain_name(path: str | Path) -> str:
    """The last part of a path, without the suffix of a file of weights or a config."""
    path = Path(path)
    return path.stem if path.suffix in (".pth", ".pt", ".safetensors", ".py") else path.name


def here_or_in_project(path: str | Path) -> Path:
    """A path as it is, or below the project's folder where something is there alone."""
    here, there = Path(path), PROJECT / path
    return there if there.exists() and not here.exists() else here


def kept_path(path: str | Path) -> str:
    """A path as it can be kept for :func:`find_kept`, in whatever folder that one is called.

    A word that is no path to anything comes back unchanged.
    """
    there = here_or_in_project(path)
    return portable_path(os.path.abspath(there)) if os.path.exists(there) else os.fspath(path)


def find_kept(path: str | Path) -> str:
    """Where a kept path leads: in the project before the folder that one is in."""
    there = PROJECT / path
    return str(there) if os.path.exists(there) else os.fspath(path)


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def usable_cores() -> int:
    """How many cores a container or a batch system grants this process."""
    many = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # a container's share of time: "200000 100000" is two cores
        quota, period = CGROUP.read_text().split()
        many = min(many, max(1, int(quota) // int(period)))  # "max" is none
    return many


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Writes a file, and the folders above it, so that nobody ever reads a part of the new content.

    A link stays one, to the file that is written; a pipe and what is below /dev, as /dev/stdout
    is, is written into. LabError where the disk is full, or the place may not be written to.
    """
    path = Path(path)
    odd = os.path.exists(path) and not os.path.isfile(path)
    direct = odd or (path.is_relative_to("/dev") and not path.is_relative_to("/dev/shm"))
    path = path if direct else Path(os.path.realpath(path))
    draft = path.parent / f".{path.name}.{os.getpid()}.part"
    raw = content.encode() if isinstance(content, str) else content
    try:
        if direct:
            path.write_bytes(raw)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(raw)
        os.replace(draft, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # where there can be none, there is none to remove
            draft.unlink()


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row of JSON to a file: in one write, so that two writers never mix their lines.

    What a kill or a full disk has left of a line stays a line of its own, which its readers pass
    over. LabError where the place cannot be written to.
    """
    text = json.dumps(row, allow_nan=False, separators=(",", ":")) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+", buffering=0) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            cut = file.read(1) not in (b"", b"\n")  # the line before
            content = ("\n" + text if cut else text).encode()
            if file.write(content) < len(content):
                raise OSError(errno.ENOSPC, "No space left on device")
    except OSError as error:
        raise unwritable(path, error) from error


def open_folder(folder: str | Path) -> Path:
    """Makes a folder, and sees that it can be written to before there are hours of work to lose."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as probe:
            probe.write(b"?")
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def read_file(path: str | Path, remedy: str) -> bytes:
    """The content of a file; LabError with the remedy where it cannot be read."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # one would wait for a pipe for ever
            raise OSError(0, "it is no file but a folder, a pipe or the like")
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise LabError(f"{path} cannot be read ({why}): {remedy}") from error


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise ValueError(f"{digits[:9]}... has more than 64 bits")
    return int(digits)


def parse_json(text: str | bytes, whole: Callable[[str], int] = _whole) -> Any:
    """What a JSON text says, in any encoding of Unicode and with or without its mark in front.

    ValueError for no JSON, or nested without end, or with integers that ``whole`` refuses.
    """
    try:
        return json.loads(text, parse_int=whole)
    except RecursionError as error:
        raise ValueError("it is nested without end") from error


def one_spelling(name: str) -> str:
    """A name as it reads: letters as one sign each (NFC), single spaces, none at its ends."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def read_json(
    path: str | Path, remedy: str, whole: Callable[[str], int] = _whole, kind: type = dict
) -> Any:
    """The JSON object (or another ``kind``) in a file, as :func:`parse_json` has it.

    LabError with the remedy where there is none.
    """
    content = read_file(path, remedy)
    try:
        found = parse_json(content, whole)
    except ValueError as error:
        raise LabError(f"{path} is broken ({error}): {remedy}") from error
    if not isinstance(found, kind):
        what = "list" if kind is list else "object"
        raise LabError(f"{path} is broken (it holds no JSON {what}): {remedy}")
    return found


@contextmanager
def sole_writer(folder: str | Path, lock: str = WRITER, patience: float = 0.5) -> Iterator[int]:
    """Hold one of a folder's locks, which is made with the folder and gone again at the end.

    The kernel lets go of it when this process ends, however it ends. Files half written that a kill
    has left are cleared away, and new folders into which nothing has come are removed. It waits
    ``patience`` seconds for another process (:func:`holder` holds it for a moment). Yields the open
    lock, for :func:`hand_over`. Busy if another process holds it, or was launched to, naming the
    process and its machine. LabError if the place may not be written to, or the disk is full.
    """
    folder = Path(folder)
    path = folder / f".{lock}.lock"
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    handle = _take(path, time.monotonic() + patience)
    _held.add(handle)
    _sign(handle, os.getpid())
    try:
        if lock == WRITER:
            if LAUNCHED not in os.environ:
                with sole_writer(folder, LAUNCH, patience):
                    pass  # nobody was launched to write here
            open_folder(folder)
            for draft in folder.glob(".*.[0-9]*.part"):
                draft.unlink(missing_ok=True)
        yield handle
    finally:
        if handle in _held:
            _held.discard(handle)
            if _is(handle, path):  # and not another's, where the folder has been moved
                path.unlink()
            os.close(handle)
            with suppress(OSError):  # others have come into it
                for place in new:
                    place.rmdir()


def hand_over(handle: int, process: int) -> None:
    """Leave a lock to a process that has inherited it: it is held as long as that one lives."""
    _sign(handle, process)
    _held.discard(handle)
    os.close(handle)


def holder(folder: str | Path, lock: str = WRITER) -> str:
    """Who holds a folder's lock: process, machine and command; "" where nobody does."""
    try:
        handle = os.open(Path(folder) / f".{lock}.lock", os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return ""
    except OSError as error:  # or the file system knows no locks
        return _signature(handle) if isinstance(error, BlockingIOError) else ""
    finally:
        os.close(handle)


def _take(path: Path, until: float) -> int:
    """The open lock file, locked."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise unwritable(path.parent, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _signature(handle)
            os.close(handle)
            if time.monotonic() > until:
                raise Busy(
                    f"{path.parent} is being written by {who}: wait for its end, stop it, or "
                    "choose another folder"
                ) from None
            time.sleep(0.05)
            continue
        except OSError as error:
            tell_once(
                f"{path.parent} lies on a file system without locks ({error.strerror}): see to it "
                "that nothing else writes there"
            )
            return handle
        if _is(handle, path):
            return handle
        os.close(handle)  # its holder has removed it meanwhile


def _sign(handle: int, process: int) -> None:
    name, *words = sys.argv
    command = shlex.join([Path(name).name, *words])
    with suppress(OSError):  # a full disk keeps nobody from holding a lock
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {process} on {socket.gethostname()} ({command})".encode(), 0)


def _signature(handle: int) -> str:
    said = os.pread(handle, 400, 0).decode("utf-8", "replace")
    return " ".join(said.split()) or "another process"


def _is(handle: int, path: Path) -> bool:
    """Whether an open file is the one that a path names."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def unwritable(path: Path, error: OSError) -> LabError:
    """What to say of a place that cannot be written."""
    why = error.strerror or error
    if isinstance(error, FileExistsError | NotADirectoryError):
        why = "a file is where a folder is meant"
    return LabError(f"{path} cannot be written ({why}): free some space, or choose another folder")
