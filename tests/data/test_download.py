"""Against a real server on this machine that is slow, cuts the connection, sends garbage, or lacks the file."""

import gzip
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from semisynth.data import transfer
from semisynth.data.download import Downloader, Fetched, NoMirrorError
from semisynth.data.idx import TRAIN_FILES, read_images
from semisynth.data.mirrors import Mirror
from semisynth.data.sources import Source

Fetch = Callable[..., Fetched]

FIRST = f"{TRAIN_FILES[0]}.gz"
BOMB = gzip.compress(bytes.fromhex("00000803 00000001 00000010 00000010") + bytes(2**22))


class Server(ThreadingHTTPServer):
    """`/WAY/FILE` answers with the mirror's FILE in the given way; `asked` counts the requests."""

    daemon_threads = False  # so that closing waits for every answer

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.folder, self.asked, self.released = folder, Counter[str](), threading.Event()

    def mirror(self, way: str) -> Mirror:
        return Mirror("mirror", f"http://127.0.0.1:{self.server_port}/{way}")


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        _, way, file = self.path.split("/")
        self.server.asked[self.path] += 1
        getattr(self, f"_{way}")((self.server.folder / file).read_bytes())

    def log_message(self, *_: object) -> None:
        pass

    def _good(self, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _lacking(self, _: bytes) -> None:
        self.send_error(404)

    def _cut(self, body: bytes) -> None:
        self._good(body[:-20], length=len(body))

    def _silent(self, _: bytes) -> None:
        self.server.released.wait()

    def _stalling(self, body: bytes) -> None:
        self._good(body[:20], length=len(body))
        self.server.released.wait()

    def _garbage(self, _: bytes) -> None:
        self._good(b"<html>Please log in to use this network</html>")

    def _bomb(self, _: bytes) -> None:
        self._good(BOMB)

    def _encoded(self, body: bytes) -> None:
        self._good(body, Content_Encoding="gzip")

    def _busy_once(self, body: bytes) -> None:
        if self.server.asked[self.path] == 1:
            self.send_error(503)
        else:
            self._good(body)


@pytest.fixture
def server(tiny_mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(tiny_mirror / "tiny") as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def fetch(tiny_source: Source, tmp_path: Path, waits: list[float]) -> Fetch:
    def fetch(*mirrors: Mirror, timeout: float = 30.0) -> Fetched:
        downloader = Downloader(timeout=timeout, attempts=3, sleep=waits.append)
        return downloader.fetch(tiny_source, mirrors, tmp_path / "cache")

    return fetch


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_good_mirror(server: Server, fetch: Fetch, tiny_mirror: Path, waits: list[float]) -> None:
    fetched = fetch(server.mirror("good"))
    np.testing.assert_array_equal(fetched.train.images, read_images(tiny_mirror / "tiny" / FIRST))
    assert (len(fetched.train), len(fetched.test), fetched.kind) == (12, 6, "mirror")
    assert (fetched.train.dataset, fetched.train.class_names, fetched.train.pool) == ("tiny", ("a", "b", "c"), 12)
    assert waits == []


@pytest.mark.parametrize(
    ("way", "reason", "asked"),
    [
        ("lacking", "answers 404", 1),
        ("cut", "connection broken", 3),
        ("garbage", r"expected an IDX file .* set aside as .*\.rejected", 1),
        ("bomb", r"received more than 256; set aside as .*\.rejected", 1),
    ],
)
def test_bad_mirror_gives_way_to_the_next(
    server: Server,
    fetch: Fetch,
    waits: list[float],
    caplog: pytest.LogCaptureFixture,
    way: str,
    reason: str,
    asked: int,
) -> None:
    assert len(fetch(server.mirror(way), server.mirror("good")).train) == 12
    assert server.asked[f"/{way}/{FIRST}"] == asked
    assert waits == [1.0, 2.0][: asked - 1]
    assert re.search(reason, caplog.text)


@pytest.mark.parametrize("way", ["silent", "stalling"])
def test_silence_is_bounded_by_the_time_out(server: Server, fetch: Fetch, waits: list[float], way: str) -> None:
    with pytest.raises(NoMirrorError, match=r"no byte for 0.2 s"):
        fetch(server.mirror(way), timeout=0.2)
    assert server.asked[f"/{way}/{FIRST}"] == 3
    assert waits == [1.0, 2.0]


def test_all_failures_stand_in_one_line(server: Server, fetch: Fetch, tmp_path: Path) -> None:
    with pytest.raises(NoMirrorError) as failure:
        fetch(server.mirror("lacking"), Mirror("mirror", tmp_path / "nowhere"), server.mirror("cut"))
    line = str(failure.value)
    assert line.startswith(f"tiny: no mirror gave it (127.0.0.1: {FIRST}: answers 404 Not Found; ")
    assert f"nowhere: {FIRST}: No such file or directory; 127.0.0.1: {FIRST}: connection broken" in line
    assert "\n" not in line


def test_nothing_half_written_is_left(server: Server, fetch: Fetch, tmp_path: Path) -> None:
    with pytest.raises(NoMirrorError):
        fetch(server.mirror("cut"), server.mirror("stalling"), timeout=0.2)
    assert names_in(tmp_path / "cache" / "mirror") == set()


def test_digest_mismatch_sets_the_file_aside(
    server: Server, fetch: Fetch, tiny_mirror: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in (tiny_mirror / "tiny").iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    false = gzip.decompress((other / FIRST).read_bytes())[:-1] + b"\x00"
    (other / FIRST).write_bytes(gzip.compress(false))
    fetched = fetch(Mirror("mirror", other), server.mirror("good"))
    np.testing.assert_array_equal(fetched.train.images, read_images(tiny_mirror / "tiny" / FIRST))
    rejected = tmp_path / "cache" / "mirror" / f"{FIRST}.rejected"
    assert gzip.decompress(rejected.read_bytes()) == false


def test_digest_mismatch_everywhere_says_so(server: Server, fetch: Fetch, tiny_mirror: Path) -> None:
    (tiny_mirror / "tiny" / FIRST).write_bytes(
        (tiny_mirror / "tiny" / FIRST.replace("train", "t10k")).read_bytes()
    )
    with pytest.raises(NoMirrorError, match="digest mismatch: SHA-256 of the unpacked payload must be"):
        fetch(server.mirror("good"))


def test_size_bound(server: Server, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LARGEST_FILE", 1000)
    with pytest.raises(NoMirrorError, match="sends more than the limit of 1000 bytes"):
        fetch(server.mirror("good"))


def test_encoding_that_a_server_declares_does_not_unpack_the_file(
    server: Server, fetch: Fetch, tiny_mirror: Path, tmp_path: Path
) -> None:
    fetch(server.mirror("encoded"))
    assert (tmp_path / "cache" / "mirror" / FIRST).read_bytes() == (tiny_mirror / "tiny" / FIRST).read_bytes()


def test_busy_mirror_is_asked_again(server: Server, fetch: Fetch, waits: list[float]) -> None:
    fetch(server.mirror("busy_once"))
    assert waits == [1.0] * 4


def test_folder_is_a_mirror(fetch: Fetch, tiny_mirror: Path) -> None:
    assert fetch(Mirror("mirror", tiny_mirror / "tiny")).kind == "mirror"


def test_kind_is_that_of_the_mirror_that_answered(server: Server, fetch: Fetch, tiny_mirror: Path) -> None:
    fetched = fetch(server.mirror("lacking"), Mirror("public", tiny_mirror / "tiny"))
    assert fetched.kind == "public"


def test_no_mirror_at_all(fetch: Fetch) -> None:
    with pytest.raises(NoMirrorError, match=r"tiny: no mirror gave it \(there is none\)"):
        fetch()


def test_verified_copy_needs_no_mirror(server: Server, fetch: Fetch) -> None:
    fetch(server.mirror("good"))
    assert len(fetch().train) == 12
    assert server.asked.total() == 4


def test_damaged_copy_is_fetched_again_and_the_others_are_not(
    server: Server, fetch: Fetch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fetch(server.mirror("good"))
    (tmp_path / "cache" / "mirror" / FIRST).write_bytes(b"damaged")
    fetch(server.mirror("good"))
    assert server.asked[f"/good/{FIRST}"] == 2
    assert server.asked.total() == 5
    assert "unusable copy" in caplog.text


def test_refused_connection_is_not_waited_for(fetch: Fetch, waits: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    with pytest.raises(NoMirrorError, match="localhost: can't be reached: Connection refused"):
        fetch(Mirror("public", f"http://localhost:{closed}/data"))
    assert waits == []
