"""Downloading one file over HTTP in a way that survives interruption.

The bytes so far lie in a `.part` file. Whoever continues asks for the rest only (RFC 9110, section 14: range requests).
Nothing here is trusted to be right: the caller compares a checksum.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from spikebridge.bridge.errors import DataError

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 60.0


def transfer(url: str, part: Path, *, progress: bool = True) -> None:
    """Fetch `url` into `part`, continuing where an earlier attempt stopped.

    A connection that breaks is made again for as long as each attempt brings something.

    Args:
        url: http or https.
        part: the file to fill; its folder exists. What is in it already is taken to be the beginning.
        progress: show a progress bar.

    Raises:
        DataError: the server does not have the file or is out of reach, or the disk is full; `part` is kept.
    """
    while True:
        before = _size(part)
        try:
            if _attempt(url, part, progress):
                return
            problem = "the connection was cut"
        except urllib.error.HTTPError as error:
            error.close()
            client_error = error.code < http.client.INTERNAL_SERVER_ERROR
            hint = "check the address" if client_error else "try again later, what was fetched is kept"
            raise DataError(f"{url} answered {error.code} {error.reason}; {hint}", path=part) from error
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        if _size(part) <= before:
            kept = f"the {_size(part)} bytes so far are kept" if part.exists() else "nothing was fetched yet"
            raise DataError(
                f"{url} could not be fetched ({problem}); {kept}, and running this again continues. "
                f"Without a network, fetch that file by other means and put it into {part.parent}",
                path=part,
            )


def _attempt(url: str, part: Path, progress: bool) -> bool:
    """One request; whether everything has arrived now."""
    start = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "spikebridge"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        # 416: there is nothing past `start`. Either all of it is here, or what is here is no beginning of that file.
        if not (start and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE):
            raise
        error.close()
        if _total_bytes(error.headers.get("Content-Range")) == start:
            return True
        part.unlink()
        return _attempt(url, part, progress)
    with response:
        first = _first_byte(response)
        if first not in (0, start):
            raise DataError(
                f"{url} answered from byte {first} instead of {start}; delete the file and retry", path=part
            )
        length = response.headers.get("Content-Length")
        total = None if length is None else first + int(length)
        _copy(response, part, first, total, progress)
    return total is None or _size(part) == total


def _copy(response: http.client.HTTPResponse, part: Path, first: int, total: int | None, progress: bool) -> None:
    bar = tqdm(total=total, initial=first, unit="B", unit_scale=True, desc=part.name, disable=not progress)
    with bar, part.open("ab" if first else "wb") as file:
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            bar.update(len(chunk))


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _first_byte(response: http.client.HTTPResponse) -> int:
    """Where in the file an answer begins: a server that ignores ranges answers 200 and sends all of it."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
    return int(match[1]) if match and response.status == http.client.PARTIAL_CONTENT else 0


def _total_bytes(content_range: str | None) -> int | None:
    match = re.fullmatch(r"bytes \*/(\d+)", (content_range or "").strip())
    return None if match is None else int(match[1])
