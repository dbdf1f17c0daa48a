"""A file over HTTP, whole or not at all, and resumed where an earlier try stopped.

    NAME.part        what has arrived
    NAME.part.json   where it comes from: address, validator (ETag or date), whole size
    NAME             the file, when it is complete and its size and checksums are right
    NAME.sha256      its checksum
    NAME.rejected    a complete download that failed its checks, kept for whoever wants to look at it

A part is continued by a Range request, which If-Range binds to the same content. A server that ignores Range, or whose
file has changed, sends all of it, and the part begins anew. A part from one address is continued from another only
where a checksum is published and the size is the same.
"""

import http.client
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_compat.errors import DataError
from data_prep.checksums import check_file, note_path, read_note
from data_prep.download_part import Part
from data_prep.sources import SourceFile

__all__ = ["Patience", "Progress", "fetch"]

Progress = Callable[[int, int | None], Any]
"""Told the bytes that are there, and how many there will be (None where nobody said)."""

_BLOCK_BYTES = 1 << 18
_LONGEST_WAIT_S = 60.0
_AGENT = "fcn-data (Python urllib)"
_PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Patience:
    """How long to try.

    Args:
        attempts: in a row that bring nothing new, before an address is given up.
        first_wait_s: after the first of them, seconds; doubled each time, up to a minute.
        timeout_s: without any answer, seconds.
    """

    attempts: int = 5
    first_wait_s: float = 1.0
    timeout_s: float = 60.0


class _PassingError(Exception):
    """May succeed when tried again; ``wait_s`` is what the server asked for."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class _FinalError(Exception):
    """This address does not give the file."""


def fetch(
    file: SourceFile, path: Path, patience: Patience | None = None, progress: Progress = lambda done, total: None
) -> str:
    """See that a file is there and whole; download it where it is not.

    Args:
        file: what is wanted.
        path: where; the folder is made.
        patience: how long to try.
        progress: told how far it is.

    Returns:
        ``downloaded``, or ``there`` where it was already.

    Raises:
        DataError: a file of that name is there and is another one (it is left alone); another process downloads it;
            there is no room for it; or no address gives the file, or it has none: the message says for each why, and
            where to put a copy got by hand.
    """
    if path.exists():
        try:
            check_file(path, path, file, progress)
        except DataError as error:
            raise DataError(
                f"{error}; move it away and run again to download it, or remove '{note_path(path).name}' if that is "
                "what is wrong"
            ) from error
        return "there"
    read_note(path)
    failures = []
    for url in _begun_first(file, path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with (part := Part(path, url, file)).alone():
                _from_address(part, patience or Patience(), progress)
        except _FinalError as error:
            failures.append(f"{url}: {error}")
        except OSError as error:
            raise DataError(
                f"'{path}' cannot be written ({error}); make room or correct the permissions and run again: "
                "it goes on where it stopped"
            ) from error
        else:
            return "downloaded"
    raise DataError(_not_to_be_had(file, path, failures))


def _begun_first(file: SourceFile, path: Path) -> list[str]:
    """The addresses, beginning with the one that a part is there from."""
    return sorted(file.urls, key=lambda url: Part(path, url, file).noted().get("url") != url)


def _from_address(part: Part, patience: Patience, progress: Progress) -> None:
    """The file under its name, from one address.

    Raises:
        _FinalError: the address does not give it.
        OSError: it cannot be written.
    """
    _download(part, patience, progress)
    try:
        check_file(part.path, part.final, part.file)
    except DataError as error:
        rejected = part.final.with_name(f"{part.final.name}.rejected")
        os.replace(part.path, rejected)
        part.note.unlink(missing_ok=True)
        raise _FinalError(f"{error}; that download is now '{rejected.name}'") from error
    os.replace(part.path, part.final)
    part.note.unlink(missing_ok=True)


def _not_to_be_had(file: SourceFile, path: Path, failures: list[str]) -> str:
    tried = "\n".join(f"  {one}" for one in failures)
    found = f"no address gives {file.name}:\n{tried}" if failures else f"{file.name} has no public address"
    known = [f"{file.size} bytes"] if file.size is not None else []
    known += [f"{name} {value}" for name, value in file.checksums.items()]
    by_hand = f"; {file.by_hand}" if file.by_hand else ""
    told = f" ({', '.join(known)})" if known else ""
    return f"{found}\nrun again later, or put the file{told} at '{path}' by hand and run again{by_hand}"


def _download(part: Part, patience: Patience, progress: Progress) -> None:
    """Make the part complete.

    Raises:
        _FinalError: the address does not give the file.
        DataError: there is no room for it.
        OSError: it cannot be written.
    """
    failed, most = 0, part.size
    while True:
        try:
            _attempt(part, patience.timeout_s, progress)
            return
        except _PassingError as error:
            failed = 0 if part.size > most else failed + 1
            most = max(most, part.size)
            if failed >= patience.attempts:
                raise _FinalError(f"{error} ({failed} attempts in a row)") from error
            wait_s = max(patience.first_wait_s * 2 ** max(failed - 1, 0), error.wait_s)
            time.sleep(min(wait_s, _LONGEST_WAIT_S))


def _attempt(part: Part, timeout_s: float, progress: Progress) -> None:
    """One request, from where the part ends."""
    origin = part.origin()
    start = part.size if origin else 0
    if start and start == origin["total"]:
        return
    headers = {"User-Agent": _AGENT}
    if start:
        headers["Range"] = f"bytes={start}-"
        if origin["validator"]:
            headers["If-Range"] = origin["validator"]
    with _open(part, headers, timeout_s) as response:
        if response.headers.get_content_type() == "text/html":
            raise _FinalError("the answer is a web page, not the file; the address may have moved")
        validator, total = _validator(response), _whole_size(response)
        if part.file.size is not None and total is not None and total != part.file.size:
            raise _FinalError(f"the file there has {total} bytes, wanted {part.file.size}")
        if response.status != http.client.PARTIAL_CONTENT:
            start = 0
            _check_room(part, total or 0)
            part.begin(validator, total)
        elif not start or not _continues(response, start, origin, validator, total):
            part.begin("", None)
            raise _PassingError("the file has changed on the server")
        _receive(response, part, total, progress)


def _continues(response: Any, start: int, origin: dict[str, Any], validator: str, total: int | None) -> bool:
    """Is an answer in part the rest of the content that the part is of."""
    same = not validator or not origin["validator"] or validator == origin["validator"]
    return same and total == origin["total"] and response.headers["Content-Range"].startswith(f"bytes {start}-")


def _open(part: Part, headers: dict[str, str], timeout_s: float) -> Any:
    """The open answer to a request."""
    try:
        request = urllib.request.Request(part.url, headers=headers)
        if request.type not in ("http", "https"):
            raise _FinalError("wanted an http or https address")
        return _opener().open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            said = f"HTTP {error.code} {error.reason}"
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.begin("", None)
                raise _PassingError(said) from error
            if error.code in _PASSING:
                asked = error.headers.get("Retry-After", "")
                raise _PassingError(said, float(asked) if asked.isdecimal() else 0.0) from error
            raise _FinalError(said) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise _FinalError(str(error.reason)) from error
        raise _PassingError(str(error.reason)) from error
    except ValueError as error:
        raise _FinalError(f"no address: {error}") from error
    except (http.client.HTTPException, OSError) as error:
        raise _PassingError(str(error) or type(error).__name__) from error


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https, through proxies of the environment, and follows redirections to these alone."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _validator(response: Any) -> str:
    """What If-Range can name the content by: a strong ETag, else the date; empty where there is neither."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _whole_size(response: Any) -> int | None:
    """Bytes of the whole file, where the answer says."""
    if response.status == http.client.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if found is None:
            raise _FinalError("an answer in part without a usable Content-Range")
        return int(found[1])
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _check_room(part: Part, missing: int) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if missing > free:
        raise DataError(
            f"'{part.final}' needs {missing} more bytes, but only {free} are free there; make room or give another "
            "--out, and run again"
        )


def _receive(response: Any, part: Part, total: int | None, progress: Progress) -> None:
    """Add an answer's body to the part.

    Raises:
        _PassingError: the connection broke or ended early; what came is kept.
    """
    done = part.size
    with part.path.open("ab") as file:
        while True:
            try:
                block = response.read1(_BLOCK_BYTES)
            except (http.client.HTTPException, OSError) as error:
                raise _PassingError(f"{error or type(error).__name__} after {done} bytes") from error
            if not block:
                break
            file.write(block)
            done += len(block)
            progress(done, total)
        file.flush()
        os.fsync(file.fileno())
    done = part.size
    if total is not None and done < total:
        raise _PassingError(f"the connection ended after {done} of {total} bytes")
    if total is not None and done > total:
        part.begin("", None)
        raise _PassingError(f"{done} bytes came where {total} were announced")
