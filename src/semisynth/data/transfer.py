"""One file from one place, a URL or a path: time-outs, a size bound, and what is worth another try."""

import socket
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from urllib.parse import urlsplit

import requests
import urllib3
from requests.utils import get_environ_proxies, select_proxy

from semisynth.files import replacing_file

CHUNK = 2**16  # bytes
LARGEST_FILE = 2**26  # bytes, packed
REACH_SECONDS = 4.0  # for a first connection, looking up the name included

Chunks = Generator[bytes, None, None]
Watch = Callable[[Iterable[bytes], str, int | None], Iterable[bytes]]  # (chunks, title, how many if known)


class TransferError(Exception):
    """Why a file did not arrive; `passing` where another try may help."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


def unwatched(chunks: Iterable[bytes], title: str, total: int | None) -> Iterable[bytes]:
    """Show nothing: the silent `Watch`."""
    return chunks


def check_reachable(url: str) -> None:
    """Raise TransferError unless the host of `url`, or its proxy, takes a connection within REACH_SECONDS.

    Looking up a name has no time-out of its own, and `requests` spends the whole one on each address of a
    host: without this check, a machine that is offline would wait for minutes.
    """
    proxy = select_proxy(url, get_environ_proxies(url))
    reached = proxy or url
    parts = urlsplit(reached if "://" in reached else f"http://{reached}")
    address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    outcome: SimpleQueue[str] = SimpleQueue()
    Thread(target=_connect, args=(address, outcome), daemon=True).start()
    try:
        problem = outcome.get(timeout=REACH_SECONDS)
    except Empty:
        problem = f"no connection within {REACH_SECONDS:g} s"
    if problem:
        raise TransferError(f"can't be reached: {problem}")


def _connect(address: tuple[str, int], outcome: SimpleQueue[str]) -> None:
    try:
        socket.create_connection(address, timeout=REACH_SECONDS / 2).close()
        outcome.put("")
    except (OSError, UnicodeError) as error:  # UnicodeError: a text that can't be a host's name
        outcome.put(getattr(error, "strerror", None) or str(error))


def transfer(place: str | Path, target: Path, *, timeout: float, watch: Watch = unwatched) -> None:
    """Copy the file at a URL or path to `target`, whole or not at all.

    `timeout`: seconds without a byte. Raises TransferError where `place` fails or gives more than LARGEST_FILE
    bytes, OSError where `target` can't be written.
    """
    size, chunks = _open_url(place, timeout) if isinstance(place, str) else _open_path(place)
    total = None if size is None else -(-size // CHUNK)
    with closing(chunks), replacing_file(target) as temporary, temporary.open("wb") as stream:
        for chunk in watch(_bounded(chunks), target.name, total):
            stream.write(chunk)


def _bounded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    received = 0
    for chunk in chunks:
        received += len(chunk)
        if received > LARGEST_FILE:
            raise TransferError(f"sends more than the limit of {LARGEST_FILE} bytes")
        yield chunk


def _open_path(path: Path) -> tuple[int | None, Chunks]:
    with _local_errors():
        return path.stat().st_size, _read_path(path)


def _read_path(path: Path) -> Chunks:
    with _local_errors(), path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


@contextmanager
def _local_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransferError(error.strerror or str(error)) from error


def _open_url(url: str, timeout: float) -> tuple[int | None, Chunks]:
    with _network_errors(timeout):
        # identity, and `decode_content=False` below: the packed file itself, even where a server calls it encoded
        response = requests.get(url, stream=True, timeout=timeout, headers={"Accept-Encoding": "identity"})
    if response.status_code != requests.codes.ok:
        response.close()
        passing = response.status_code >= 500 or response.status_code in (408, 429)
        raise TransferError(f"answers {response.status_code} {response.reason}".rstrip(), passing=passing)
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None, _read_response(response, timeout)


def _read_response(response: requests.Response, timeout: float) -> Chunks:
    with _network_errors(timeout), response:
        while chunk := response.raw.read(CHUNK, decode_content=False):
            yield chunk


@contextmanager
def _network_errors(timeout: float) -> Iterator[None]:
    try:
        yield
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise TransferError(f"no byte for {timeout:g} s", passing=True) from error
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
        raise TransferError("has no valid TLS certificate") from error
    except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
        raise TransferError("connection broken", passing=True) from error
    except requests.RequestException as error:
        raise TransferError(f"can't be asked: {' '.join(str(error).split())}") from error
