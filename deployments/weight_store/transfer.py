"""One file over HTTP, going on where a download was cut off, also by the end of an earlier process.

huggingface_hub itself goes on only within one call: its partial files carry random names and go when it fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import sleep

import httpx2
from tqdm import tqdm

from lib.errors import InputError

_ATTEMPTS = 5  # without a byte of progress
_TIMEOUT = httpx2.Timeout(30.0)  # seconds without any data
_PASSING = (408, 425, 429, 500, 502, 503, 504)
Refuse = Callable[[int, str], InputError]  # of HTTP's status and the hub's error code


class _CutOffError(Exception):
    """Worth another attempt."""


@dataclass(frozen=True)
class Remote:
    """A file on a server."""

    url: str
    size: int | None
    refuse: Refuse  # the error for a status such as 404
    headers: Mapping[str, str] = field(default_factory=dict)


@cache
def client() -> httpx2.Client:
    """One for all: certificates take a while to load. A token is not sent on to another host."""
    return httpx2.Client(timeout=_TIMEOUT, follow_redirects=True)


def offline() -> bool:
    """Whether the network is forbidden, for all sources; read as huggingface_hub reads it."""
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in {"1", "ON", "YES", "TRUE"}


def download(remote: Remote, part: Path) -> None:
    """Bring all of the file's bytes to `part`; what is there already is kept and only the rest is asked for.

    Raises:
        InputError: the server refuses, or several attempts in a row brought nothing.
    """
    failures = 0
    while not _whole(part, remote.size):
        before = _size(part)
        try:
            _receive(remote, part, before)
            if remote.size is None:
                return
            if _size(part) == before:
                raise _CutOffError("nothing was sent")
        except (_CutOffError, httpx2.TransportError) as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= _ATTEMPTS:
                raise _gave_up(remote, part, error) from error
            sleep(float(2 ** (failures - 1)))
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise InputError(f"{remote.url}: cannot be fetched ({error})") from error


def _whole(part: Path, size: int | None) -> bool:
    if size is not None and _size(part) > size:
        part.unlink()  # bytes of something else
    return size is not None and part.is_file() and _size(part) == size


def _receive(remote: Remote, part: Path, start: int) -> None:
    # Compressed bytes could not be joined.
    headers = {**remote.headers, "Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with client().stream("GET", remote.url, headers=headers) as response:
        _check_status(remote, response, part)
        goes_on = response.status_code == 206
        if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            part.unlink(missing_ok=True)
            raise _CutOffError(f"asked for bytes from {start}, was sent {response.headers.get('Content-Range')}")
        with part.open("ab" if goes_on else "wb") as file, _bar(remote, start if goes_on else 0) as bar:
            for chunk in response.iter_raw():  # as they come: what is gathered first would be lost at a cut
                file.write(chunk)
                file.flush()
                if remote.size is not None and file.tell() > remote.size:
                    raise _other_file(remote)
                bar.update(len(chunk))


def _check_status(remote: Remote, response: httpx2.Response, part: Path) -> None:
    status = response.status_code
    if status == 416:  # there is more here than there: another file
        part.unlink(missing_ok=True)
    if status == 416 or status in _PASSING:
        raise _CutOffError(f"HTTP {status}")
    if status >= 400:
        raise remote.refuse(status, response.headers.get("X-Error-Code", ""))


def _bar(remote: Remote, start: int) -> tqdm:
    name = remote.url.rpartition("/")[2]
    return tqdm(
        total=remote.size,
        initial=start,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        desc=f"  {name}",
        leave=False,
        disable=None,  # shown only on a terminal
    )


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _other_file(remote: Remote) -> InputError:
    return InputError(
        f"{remote.url}: sends more than the {remote.size:,} bytes that the file should have; nothing was taken: it is "
        "another file, or a web page; look at the address, and at HF_ENDPOINT or --propainter_url"
    )


def _gave_up(remote: Remote, part: Path, error: Exception) -> InputError:
    whole = f"{remote.size:,}" if remote.size is not None else "an unknown number of"
    return InputError(
        f"{remote.url}: cut off {_ATTEMPTS} times in a row ({error or type(error).__name__}); {_size(part):,} of "
        f"{whole} bytes are kept: check the network and run the same command again, which goes on from there"
    )
