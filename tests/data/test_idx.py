import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from semisynth.data import idx
from semisynth.data.idx import read_images, read_labels, read_pair, read_payload, write_idx
from semisynth.errors import SemisynthError

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
HEADER = struct.pack(">4I", 2051, 2, 3, 4)


@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_images_round_trip(tmp_path: Path, name: str) -> None:
    write_idx(tmp_path / name, IMAGES)
    read = read_images(tmp_path / name)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, IMAGES)


@pytest.mark.parametrize("name", ["labels", "labels.gz"])
def test_labels_round_trip(tmp_path: Path, name: str) -> None:
    write_idx(tmp_path / name, np.array([0, 9, 255]))
    read = read_labels(tmp_path / name)
    assert read.dtype == np.int64
    np.testing.assert_array_equal(read, [0, 9, 255])


def test_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    write_idx(tmp_path / "images", IMAGES)
    write_idx(tmp_path / "labels", np.array([3, 1]))
    assert (tmp_path / "images").read_bytes() == bytes.fromhex("00000803 00000002 00000003 00000004") + bytes(
        range(24)
    )
    assert (tmp_path / "labels").read_bytes() == bytes.fromhex("00000801 00000002 03 01")


def test_equal_arrays_give_equal_packed_bytes(tmp_path: Path) -> None:
    write_idx(tmp_path / "a.gz", IMAGES)
    write_idx(tmp_path / "b.gz", IMAGES)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_packing_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    write_idx(tmp_path / "plain", IMAGES)
    (tmp_path / "plain").rename(tmp_path / "plain.gz")
    np.testing.assert_array_equal(read_images(tmp_path / "plain.gz"), IMAGES)


def test_payload_is_the_same_packed_or_not(tmp_path: Path) -> None:
    write_idx(tmp_path / "images", IMAGES)
    write_idx(tmp_path / "images.gz", IMAGES)
    assert read_payload(tmp_path / "images.gz") == (tmp_path / "images").read_bytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "expected an IDX file with magic number 2051 .* received the bytes of an empty file"),
        (b"\x00\x00\x08", "received the bytes 00 00 08"),
        (b"<!DOCTYPE html>", "received the bytes 3c 21 44 4f"),
        (struct.pack(">4I", 2052, 2, 3, 4) + bytes(24), "expected an IDX file with magic number 2051"),
        (struct.pack(">2I", 2049, 24) + bytes(24), "expected magic number 2051, received 2049"),
        (HEADER[:9], "header ends after 9 bytes, expected 16"),
        (HEADER + bytes(23), r"promises 24 bytes for shape \(2, 3, 4\), received 23"),
        (HEADER + bytes(25), r"promises 24 bytes for shape \(2, 3, 4\), received more than 24"),
        (struct.pack(">4I", 2051, 0, 3, 4), r"promises shape \(0, 3, 4\), expected 1 to"),
        (struct.pack(">4I", 2051, 2**31, 2**31, 2**31) + bytes(9), "the header promises shape .* expected 1 to"),
    ],
)
def test_bad_payloads_are_refused(tmp_path: Path, pack: type[bytes], payload: bytes, message: str) -> None:
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(pack(payload))
    with pytest.raises(SemisynthError, match=f"images-idx3-ubyte: .*{message}"):
        read_images(path)


def test_labels_with_the_magic_number_of_images_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path / "images", IMAGES)
    with pytest.raises(SemisynthError, match="expected magic number 2049, received 2051"):
        read_labels(tmp_path / "images")


@pytest.mark.parametrize("keep", [5, 20, -9, -1])
def test_truncated_gzip_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "images.gz"
    write_idx(path, IMAGES)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SemisynthError, match=r"images.gz: not a whole gzip file"):
        read_images(path)


@pytest.mark.parametrize("place", [-5, 15])
def test_damaged_gzip_is_refused(tmp_path: Path, place: int) -> None:
    path = tmp_path / "images.gz"
    write_idx(path, IMAGES)
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(SemisynthError, match=r"images.gz: "):
        read_images(path)


def test_gzip_bomb_is_unpacked_no_further_than_its_header_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked = 0
    genuine = gzip.GzipFile.read

    def counting(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        nonlocal unpacked
        chunk = genuine(self, size)
        unpacked += len(chunk)
        return chunk

    (tmp_path / "bomb.gz").write_bytes(gzip.compress(HEADER + bytes(2**24)))
    monkeypatch.setattr(gzip.GzipFile, "read", counting)
    with pytest.raises(SemisynthError, match="received more than 24"):
        read_images(tmp_path / "bomb.gz")
    assert unpacked == len(HEADER) + 24 + 1


def test_sizes_in_the_header_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "images", IMAGES)
    monkeypatch.setattr(idx, "LARGEST_PAYLOAD", 23)
    with pytest.raises(SemisynthError, match="expected 1 to 23 bytes"):
        read_images(tmp_path / "images")


def test_counts_must_agree(tmp_path: Path) -> None:
    write_idx(tmp_path / "images", IMAGES)
    write_idx(tmp_path / "labels", np.arange(3))
    with pytest.raises(SemisynthError, match="labels: expected 2 labels, one an image, received 3"):
        read_pair(tmp_path / "images", tmp_path / "labels")


def test_pair_of_agreeing_files(tmp_path: Path) -> None:
    write_idx(tmp_path / "images", IMAGES)
    write_idx(tmp_path / "labels", np.array([1, 0]))
    images, labels = read_pair(tmp_path / "images", tmp_path / "labels")
    assert (images.shape, labels.tolist()) == ((2, 3, 4), [1, 0])


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SemisynthError, match="nowhere: no such file"):
        read_images(tmp_path / "nowhere")


@pytest.mark.parametrize("array", [np.zeros((2, 2)), np.array([-1, 0]), np.array([256]), np.zeros(0)])
def test_what_is_no_idx_array_is_not_written(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(SemisynthError, match=r"out: expected \(n,\) or \(n, rows, columns\) of 0 to 255"):
        write_idx(tmp_path / "out", array)
    assert not list(tmp_path.iterdir())
