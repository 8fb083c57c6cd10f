"""One file over HTTP: resumed where it stopped, checked, and there in whole or not at all."""

import os
import re
import shutil
import socket
import time
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tqdm import tqdm

from ..errors import LabError
from ..files import sha256 as sha256_of
from ..files import sole_writer, unwritable

LARGEST = 16 * 2**30  # bytes; no detector's checkpoint comes near
PATIENCE = 24 * 3600.0  # seconds; COCO over a slow line takes hours
_BLOCK = 1 << 20
_TRIES = 5  # in a row that brought nothing new
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP's ways to say: later
ELSEWHERE = "name a --mirror, or give a folder that has the file with --from DIR"


class _Lost(Exception):
    """The connection failed in a way that another try may mend."""


class _Redirects(HTTPRedirectHandler):
    """From http to http or https, from https to https, and to nothing else."""

    def redirect_request(self, req: Request, fp: Any, *answer: Any) -> Request | None:
        fp.close()  # unread, for its body may be endless
        scheme = urlsplit(answer[-1]).scheme
        if scheme != "https" and scheme != req.type or scheme not in ("http", "https"):
            raise LabError(
                f"{req.full_url}: the server sends us on to {answer[-1]!r}, which is not followed: "
                f"{ELSEWHERE}"
            )
        return super().redirect_request(req, fp, *answer)


def download(
    url: str,
    target: str | Path,
    sha256: str = "",
    timeout: float = 30.0,
    pause: float = 1.0,
    limit: int = LARGEST,
) -> Path:
    """Fetch ``url`` into the file ``target``, going on from what an earlier try has left.

    What has come so far is beside the target as ``.NAME.part``. A target that exists is checked and
    kept. Of several processes that want the same file, one fetches it and the others wait.
    ``sha256`` is the checksum's first hexadecimal digits, as many as are known; ``timeout`` seconds
    without a byte, ``pause`` seconds before the second try, doubled for each further one.

    LabError: offline, refused, not found, no space, more than ``limit`` bytes, an answer that makes
    no sense, five tries in a row without a new byte, or a file with another checksum, which is
    removed.
    """
    target = Path(target)
    if os.path.isfile(target):
        check_sum(target, sha256)
        return target
    if not url.lower().startswith(("http://", "https://")):
        raise LabError(f"{url} is no http or https address: give one that is")
    with sole_writer(target.parent, target.name, PATIENCE):
        if not os.path.isfile(target):  # else another process has fetched it meanwhile
            _fetch(url, target, sha256, timeout, pause, limit)
    return target


def _fetch(url: str, target: Path, sha256: str, timeout: float, pause: float, limit: int) -> None:
    part = target.with_name(f".{target.name}.part")
    misses, most = 0, _size(part)
    while True:
        try:
            _receive(url, part, timeout, limit)
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


def _receive(url: str, part: Path, timeout: float, limit: int) -> None:
    """Append to ``part`` what is missing of ``url``, or start over if the server cannot resume."""
    have = _size(part)
    answer = _open(url, have, timeout)
    if answer is None:
        return
    with answer:
        begin, total = 0, _length(url, answer)
        if answer.status == 206:
            begin, total = _range(answer.headers.get("Content-Range", ""))
        if begin not in (0, have):
            raise LabError(f"{url}: the server resumes at the wrong byte: {ELSEWHERE}")
        if (total or 0) > limit:
            raise _too_long(url, limit)
        require_room(part.parent, (total or 0) - begin, part.name[1:-5])
        with tqdm(
            desc=part.name[1:-5],
            total=total,
            initial=begin,
            unit="B",
            unit_scale=True,
            disable=None,
        ) as bar:
            _copy(answer, part, "ab" if begin else "wb", bar, limit - begin)
    if _size(part) > limit:
        part.unlink()
        raise _too_long(url, limit)
    if total is not None and _size(part) != total:
        raise _Lost(f"the connection ended after {_size(part)} of {total} bytes")


def _open(url: str, have: int, timeout: float) -> HTTPResponse | None:
    """The server's answer, or None if it says that the ``have`` bytes are all."""
    try:
        request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        answer = build_opener(_Redirects).open(request, timeout=timeout)
        if answer.status not in (200, 206):
            raise LabError(f"{url}: {answer.status}, and no file: {ELSEWHERE}")
        return answer
    except (InvalidURL, ValueError) as error:
        raise LabError(f"{url!r} is no address ({error}): check its spelling") from error
    except HTTPError as error:
        if error.code == 416 and have:
            if _range(error.headers.get("Content-Range", ""))[1] == have:
                return None
            return _open(url, 0, timeout)  # more than there is: what was kept is not of this file
        said = f"{error.code} {' '.join(str(error.reason).split())}"
        if error.code in _PASSING:
            raise _Lost(f"the server answers {said}") from error
        raise LabError(f"{url}: {said}: {ELSEWHERE}") from error
    except URLError as error:
        why = error.reason
        if isinstance(why, socket.gaierror | ConnectionRefusedError):
            raise LabError(
                f"{url} cannot be reached ({getattr(why, 'strerror', why)}): check that this "
                f"machine is online, {ELSEWHERE}"
            ) from error
        raise _Lost(f"no connection ({why})") from error
    except (OSError, HTTPException) as error:
        raise _Lost(f"no answer ({error})") from error


def _length(url: str, answer: HTTPResponse) -> int | None:
    """What the server says of the body's length; None if it says nothing."""
    said = answer.headers.get("Content-Length")
    if said is not None and not re.fullmatch(r"[0-9]{1,18}", said.strip()):
        raise LabError(f"{url}: the server states no length that makes sense: {ELSEWHERE}")
    return None if said is None or answer.chunked else int(said)


def _too_long(url: str, limit: int) -> LabError:
    return LabError(
        f"{url}: the server sends more than the {limit / 1e9:.3g} GB that the file may have, so it "
        f"is another file: {ELSEWHERE}"
    )


def _copy(answer: HTTPResponse, part: Path, mode: str, bar: Any, most: int) -> None:
    """Write what comes, until the end or until it is more than ``most`` bytes."""
    try:
        file = part.open(mode)
    except OSError as error:
        raise unwritable(part, error) from error
    with file:
        while True:
            try:
                block = answer.read1(_BLOCK)  # what has come, so that a stall loses nothing
            except TimeoutError as error:
                raise _Lost("the connection stalls") from error
            except (OSError, HTTPException) as error:
                raise _Lost(f"the connection broke ({error})") from error
            if not block or most < 0:
                return
            most -= len(block)
            try:
                file.write(block)
                file.flush()
            except OSError as error:
                raise unwritable(part, error) from error
            bar.update(len(block))


def _range(text: str) -> tuple[int, int | None]:
    """First byte and total of a Content-Range like ``bytes 5-9/10`` or ``bytes */10``."""
    number = "([0-9]{1,18})"
    found = re.fullmatch(rf"bytes (?:{number}-[0-9]+|\*)/(?:{number}|\*)", text)
    if not found:
        return -1, None
    first, total = found.groups()
    return int(first or -1), None if total is None else int(total)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
