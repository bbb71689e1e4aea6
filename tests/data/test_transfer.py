import socket
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from semisynth.data import transfer as module
from semisynth.data.transfer import TransferError, check_reachable, transfer


def test_path_is_copied_and_watched(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(bytes(module.CHUNK + 1))
    seen: list[tuple[str, int | None, int]] = []

    def watch(chunks: Iterable[bytes], title: str, total: int | None) -> Iterable[bytes]:
        for chunk in chunks:
            seen.append((title, total, len(chunk)))
            yield chunk

    transfer(tmp_path / "from", tmp_path / "to", timeout=1, watch=watch)
    assert (tmp_path / "to").read_bytes() == bytes(module.CHUNK + 1)
    assert seen == [("to", 2, module.CHUNK), ("to", 2, 1)]


def test_missing_path_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="No such file") as failure:
        transfer(tmp_path / "from", tmp_path / "to", timeout=1)
    assert not failure.value.passing
    assert not list(tmp_path.iterdir())


def test_folder_in_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    with pytest.raises(TransferError, match="Is a directory"):
        transfer(tmp_path / "from", tmp_path / "to", timeout=1)


def test_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_FILE", 10)
    (tmp_path / "from").write_bytes(bytes(11))
    with pytest.raises(TransferError, match="more than the limit of 10 bytes"):
        transfer(tmp_path / "from", tmp_path / "to", timeout=1)
    assert [path.name for path in tmp_path.iterdir()] == ["from"]


def test_failure_to_write_is_no_fault_of_the_mirror(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(bytes(10))

    def full_disk(chunks: Iterable[bytes], title: str, total: int | None) -> Iterable[bytes]:
        yield next(iter(chunks))
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        transfer(tmp_path / "from", tmp_path / "to", timeout=1, watch=full_disk)
    assert [path.name for path in tmp_path.iterdir()] == ["from"]


def test_host_that_listens_is_reachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_reachable(f"http://127.0.0.1:{server.getsockname()[1]}/data")


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_refused_connection_is_not_tried_again() -> None:
    with pytest.raises(TransferError, match="can't be reached: Connection refused") as failure:
        check_reachable(f"http://127.0.0.1:{closed_port()}")
    assert not failure.value.passing


def test_proxy_is_reached_in_place_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{server.getsockname()[1]}")
        check_reachable("http://mirror.invalid/data")
    with pytest.raises(TransferError, match="Connection refused"):
        check_reachable("http://mirror.invalid/data")


def test_endless_look_up_of_a_name_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def look_up(*_: object, **__: object) -> None:
        released.wait()
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(module, "REACH_SECONDS", 0.05)
    with pytest.raises(TransferError, match=r"no connection within 0.05 s"):
        check_reachable("http://mirror.invalid/data")
    released.set()


def test_three_silent_mirrors_take_less_than_fifteen_seconds() -> None:
    assert 3 * module.REACH_SECONDS < 15


def test_name_that_cannot_be_one() -> None:
    with pytest.raises(TransferError, match="can't be reached"):
        check_reachable(f"http://{'a' * 64}.example/data")
