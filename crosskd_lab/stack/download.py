"""One file over HTTP: resumed where it stopped, checked, and there in whole or not at all."""

import os
import shutil
import socket
import time
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tqdm import tqdm

from ..errors import LabError
from ..files import sha256 as sha256_of
from ..files import sole_writer, unwritable

LARGEST = 32 * 10**9  # bytes; COCO's train2017.zip has 19 GB
PATIENCE = 24 * 3600.0  # seconds; COCO over a slow line takes hours
_BLOCK = 1 << 20
_TRIES = 5  # in a row that brought nothing new
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP's ways to say: later
ELSEWHERE = "name a --mirror, or give a folder that has the file with --from DIR"


class _Lost(Exception):
    """The connection failed in a way that another try may mend."""


class _Redirects(HTTPRedirectHandler):
    """To the web alone; the body of such an answer may be endless and is left unread."""

    def redirect_request(self, req: Request, fp: Any, *answer: Any) -> Request | None:
        fp.close()
        if not answer[-1].startswith(("http://", "https://")):
            raise LabError(f"{req.full_url}: it sends us on to {answer[-1]!r}: {ELSEWHERE}")
        return super().redirect_request(req, fp, *answer)


def download(
    url: str, target: str | Path, sha256: str = "", timeout: float = 30.0, pause: float = 1.0
) -> Path:
    """Fetch ``url`` into the file ``target``, going on from what an earlier try has left.

    What has come so far is beside the target as ``.NAME.part``. A target that exists is checked and
    kept. Of several processes that want the same file, one fetches it and the others wait.
    ``sha256`` is the checksum's first hexadecimal digits, as many as are known; ``timeout`` seconds
    without a byte, ``pause`` seconds before the second try, doubled for each further one.

    LabError: offline, refused, not found, no space, five tries in a row without a new byte, or a
    file with another checksum, which is removed.
    """
    target = Path(target)
    if os.path.isfile(target):
        check_sum(target, sha256)
        return target
    if not url.lower().startswith(("http://", "https://")):
        raise LabError(f"{url} is no http or https address: give one that is")
    with sole_writer(target.parent, target.name, PATIENCE):
        if not os.path.isfile(target):  # else another process has fetched it meanwhile
            _fetch(url, target, sha256, timeout, pause)
    return target


def _fetch(url: str, target: Path, sha256: str, timeout: float, pause: float) -> None:
    part = target.with_name(f".{target.name}.part")
    misses, most = 0, _size(part)
    while True:
        try:
            _receive(url, part, timeout)
            break
        except _Lost as lost:
            misses = 0 if _size(part) > most else misses + 1
            most = max(most, _size(part))
            if misses == _TRIES:
                raise LabError(
                    f"{url}: {lost}, {_TRIES} times in a row; {_size(part)} bytes are kept: run "
                    f"the same command later, or {ELSEWHERE}"
                ) from lost
            time.sleep(pause * 2**misses)
    try:
        check_sum(part, sha256, url)
    except LabError:
        part.unlink()  # resuming could only keep the damage
        raise
    os.replace(part, target)


def check_sum(path: Path, sha256: str, name: str = "") -> None:
    """Raise LabError unless the file's SHA-256 begins with these digits, of which there may be
    none.
    """
    if sha256 and not (found := sha256_of(path)).startswith(sha256.lower()):
        raise LabError(
            f"{name or path} is damaged: its sha256 begins {found[: len(sha256)]} and must begin "
            f"{sha256}; remove it and fetch it again, or {ELSEWHERE}"
        )


def require_room(folder: str | Path, size: int, what: str) -> None:
    """Raise LabError unless the disk of ``folder`` has ``size`` bytes free for ``what``."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise LabError(
            f"{what} needs {size / 1e9:.3g} GB and {folder} has {free / 1e9:.3g} GB free: make "
            "room, or choose another disk"
        )


def _receive(url: str, part: Path, timeout: float) -> None:
    """Append to ``part`` what is missing of ``url``, or start over if the server cannot resume."""
    answer = _open(url, part, timeout)
    begin = _size(part) if answer.status == 206 else 0
    total = None if answer.length is None else begin + answer.length
    name = part.name[1:-5]
    require_room(part.parent, (total or 0) - begin, name)
    bar = tqdm(desc=name, total=total, initial=begin, unit="B", unit_scale=True, disable=None)
    try:
        with answer, bar, part.open("ab" if begin else "wb") as file:
            while block := _read(answer):
                file.write(block)
                bar.update(len(block))
                if file.tell() > LARGEST:
                    part.unlink()
                    raise LabError(f"{url}: the server sends without end: {ELSEWHERE}")
    except OSError as error:
        raise unwritable(part, error) from error
    if total is not None and _size(part) != total:
        raise _Lost(f"the connection ended after {_size(part)} of {total} bytes")


def _open(url: str, part: Path, timeout: float) -> HTTPResponse:
    """The server's answer to being asked for what is missing."""
    have = _size(part)
    try:
        request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        answer = build_opener(_Redirects).open(request, timeout=timeout)
    except HTTPError as error:
        said = f"{error.code} {error.reason}"
        if error.code == 416 and have:
            part.unlink()  # there is no more, or what was kept is of another file: once more
        elif error.code not in _PASSING:
            raise LabError(f"{url}: {said}: {ELSEWHERE}") from error
        raise _Lost(f"the server answers {said}") from error
    except (InvalidURL, ValueError) as error:
        raise LabError(f"{url!r} is no address ({error}): check its spelling") from error
    except (OSError, HTTPException) as error:
        why = getattr(error, "reason", error)
        if isinstance(why, socket.gaierror | ConnectionRefusedError):
            raise LabError(
                f"{url} cannot be reached ({why.strerror or why}): check that this machine is "
                f"online, {ELSEWHERE}"
            ) from error
        raise _Lost(f"no answer ({why})") from error
    resumed = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    if answer.status != (206 if resumed else 200):
        raise LabError(f"{url}: {answer.status}, and not what was asked for: {ELSEWHERE}")
    return answer


def _read(answer: HTTPResponse) -> bytes:
    """What has come meanwhile, so that a stall loses nothing."""
    try:
        return answer.read1(_BLOCK)
    except (OSError, HTTPException) as error:
        raise _Lost(f"the connection broke ({error})") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
