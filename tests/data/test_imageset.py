import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semisynth.data import imageset
from semisynth.data.imageset import ImageSet, load_images, read_archive, save_images, write_images
from semisynth.errors import SemisynthError

COUNT = 6
LABELS = np.array([0, 1, 2, 0, 1, -1])


def build(**changes: Any) -> ImageSet:
    fields: dict[str, Any] = {
        "images": np.random.default_rng(0).integers(0, 256, (COUNT, 16, 16), np.uint8),
        "labels": LABELS,
        "class_names": ("a", "b", "é"),
        "dataset": "tiny",
        "pool": 9,
    }
    return ImageSet(**{**fields, **changes})


AUGMENTED = {
    "provenance": np.array([0, 1, 2, 0, 1, 2], np.uint8),
    "confidence": np.linspace(0, 1, 6, dtype=np.float32),
}


@pytest.mark.parametrize("extra", [{}, AUGMENTED], ids=["plain", "augmented"])
def test_round_trip(tmp_path: Path, extra: dict[str, Any]) -> None:
    data = build(**extra)
    save_images(tmp_path / "new" / "a.npz", data)
    read = load_images(tmp_path / "new" / "a.npz")
    for name in ("images", "labels", "provenance", "confidence"):
        expected, received = getattr(data, name), getattr(read, name)
        assert (received is None) == (expected is None)
        if expected is not None:
            np.testing.assert_array_equal(received, expected)
            assert received.dtype == expected.dtype
    assert (read.class_names, read.dataset, read.pool) == (("a", "b", "é"), "tiny", 9)


def test_equal_data_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_images(tmp_path / name, build(**AUGMENTED))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_writing_in_place_makes_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill meanwhile leaves the temporary name of whoever renames, which is found and deleted, and no other."""
    seen: list[list[str]] = []
    savez = np.savez_compressed

    def watched(stream: io.BufferedWriter, **given: Any) -> None:
        seen.append([path.name for path in tmp_path.iterdir()])
        savez(stream, **given)

    monkeypatch.setattr(np, "savez_compressed", watched)
    write_images(tmp_path / ".a.npz.12345678.part", build())
    assert seen == [[".a.npz.12345678.part"]]


def test_sizes() -> None:
    assert (len(build()), build().side, build().classes) == (6, 16, 3)


@pytest.mark.parametrize("rows", [[4, 0], np.array([True, False, False, False, True, False])])
def test_take(rows: Any) -> None:
    taken = build(**AUGMENTED).take(rows)
    assert taken.labels.tolist() == LABELS[rows].tolist()
    np.testing.assert_array_equal(taken.images, build().images[rows])
    np.testing.assert_array_equal(taken.provenance, AUGMENTED["provenance"][rows])
    np.testing.assert_array_equal(taken.confidence, AUGMENTED["confidence"][rows])
    assert taken.pool == 9


def test_removed_labels_are_gone(tmp_path: Path) -> None:
    bare = build(**AUGMENTED).with_labels_removed()
    save_images(tmp_path / "a.npz", bare)
    assert set(load_images(tmp_path / "a.npz").labels) == {-1}
    assert bare.provenance is None
    assert bare.confidence is None
    np.testing.assert_array_equal(bare.images, build().images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((6, 16, 16))}, "`images` must have dtype uint8, received float64"),
        ({"images": np.zeros((6, 16), np.uint8)}, r"shape \(n, side, side\), received \(6, 16\)"),
        ({"images": np.zeros((6, 16, 20), np.uint8)}, r"shape \(n, side, side\), received \(6, 16, 20\)"),
        ({"images": np.zeros((6, 16, 16, 1), np.uint8)}, r"shape \(n, side, side\)"),
        ({"images": np.zeros((), np.uint8)}, r"shape \(n, side, side\), received \(\)"),
        ({"images": np.zeros((0, 16, 16), np.uint8), "labels": np.zeros(0, np.int64)}, "`images` is empty"),
        ({"images": np.zeros((6, 12, 12), np.uint8)}, "side of 16 to 64 pixels .* received 12"),
        ({"images": np.zeros((6, 68, 68), np.uint8)}, "side of 16 to 64 pixels .* received 68"),
        ({"images": np.zeros((6, 30, 30), np.uint8)}, "multiple of 4, received 30"),
        ({"labels": LABELS.astype(np.int32)}, "`labels` must have dtype int64, received int32"),
        ({"labels": LABELS[:5]}, r"`labels` must have shape \(6,\) to match `images`, received \(5,\)"),
        ({"labels": LABELS[:, None]}, r"`labels` must have shape \(6,\)"),
        ({"labels": np.array([0, 1, 3, 0, 1, 9])}, "must lie in -1 to 2, row 2 holds 3"),
        ({"labels": np.array([0, 1, 2, 0, -2, 1])}, "must lie in -1 to 2, row 4 holds -2"),
        ({"class_names": ("a",), "labels": np.zeros(6, np.int64)}, "at least 2 classes, received 1"),
        ({"pool": 0}, "`pool` must be at least 1, received 0"),
        ({"provenance": np.full(6, 3, np.uint8)}, "`provenance` must be 0, 1 or 2, received 3"),
        ({"provenance": np.zeros(6, np.int64)}, "`provenance` must have dtype uint8, received int64"),
        ({"provenance": np.zeros(5, np.uint8)}, r"`provenance` must have shape \(6,\)"),
        ({"confidence": np.zeros(6)}, "`confidence` must have dtype float32, received float64"),
        ({"confidence": np.array([0, 1, 0, np.nan, 0, 0], np.float32)}, "0 to 1, row 3 holds nan"),
        ({"confidence": np.array([0, 1, 0, 0, 0, 1.5], np.float32)}, "0 to 1, row 5 holds 1.5"),
        ({"confidence": np.array([0, -1, 0, 0, 0, 0], np.float32)}, "0 to 1, row 1 holds -1"),
    ],
)
def test_what_breaks_the_contract_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SemisynthError, match=f"some.npz: .*{message}"):
        build(**changes, source="some.npz")


def arrays(**changes: Any) -> dict[str, Any]:
    return {"images": build().images, "labels": LABELS, **changes}


def test_names_of_classes_may_be_given_where_the_file_has_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", images=build().images, labels=np.full(COUNT, -1))
    assert load_images(tmp_path / "own.npz", class_names=("coat", "shirt")).class_names == ("coat", "shirt")
    save_images(tmp_path / "named.npz", build())
    assert load_images(tmp_path / "named.npz", class_names=("coat", "shirt")).class_names == ("a", "b", "é")


def test_names_may_be_missing(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **arrays())
    data = load_images(tmp_path / "own.npz")
    assert (data.class_names, data.dataset, data.pool) == (("0", "1", "2"), "own", 6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.full((6, 16, 16), np.nan)}, "`images` must have dtype uint8, received float64"),
        ({"images": build().images.astype(np.int64)}, "`images` must have dtype uint8, received int64"),
        ({"images": np.uint8(3)}, r"`images` must have shape \(n, side, side\), received \(\)"),
        ({"labels": np.array(["a"] * 6)}, "`labels` must have dtype int64, received <U1"),
        ({"labels": np.int64(3)}, r"`labels` must have shape \(6,\) .* received \(\)"),
        ({"labels": np.array([0, 1, 2, 0, 1, 10**9])}, "`labels` must lie below 65536, received 1000000000"),
        ({"labels": np.array([0, 1, 2, 0, 1, None])}, "holds pickled objects"),
        ({"class_names": np.array(["a", None])}, "holds pickled objects"),
        ({"class_names": np.array([b"a", b"b", b"c"])}, r"`class_names` must be strings, received \|S1"),
        ({"pool": np.array([1, 2])}, r"`pool` must be one integer, received int64 of shape \(2,\)"),
        ({"pool": np.array("many")}, "`pool` must be one integer, received <U4"),
    ],
)
def test_file_that_breaks_the_contract_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "own.npz", **arrays(**changes))
    with pytest.raises(SemisynthError, match=f"own.npz: .*{message}"):
        load_images(tmp_path / "own.npz")


@pytest.mark.parametrize("name", ["images", "labels"])
def test_missing_array_is_named(tmp_path: Path, name: str) -> None:
    kept = {key: value for key, value in arrays().items() if key != name}
    np.savez(tmp_path / "own.npz", **kept)
    with pytest.raises(SemisynthError, match=f"array `{name}` is missing, found"):
        load_images(tmp_path / "own.npz")


def test_missing_file_tells_to_run_the_stage_before(tmp_path: Path) -> None:
    with pytest.raises(SemisynthError, match=r"nowhere.npz: no such file; run the stage that writes it first"):
        load_images(tmp_path / "nowhere.npz")


def test_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(SemisynthError, match="no such file"):
        load_images(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", pickle.dumps({"images": 1})])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(SemisynthError, match=r"own.npz: not a whole .npz archive"):
        load_images(tmp_path / "own.npz")


@pytest.mark.parametrize("place", [60, 100, 500, -30, -200])
def test_damaged_archive_is_refused(tmp_path: Path, place: int) -> None:
    save_images(tmp_path / "a.npz", build())
    damaged = bytearray((tmp_path / "a.npz").read_bytes())
    damaged[place] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(damaged)
    with pytest.raises(SemisynthError, match=r"a.npz: not a whole .npz archive"):
        load_images(tmp_path / "a.npz")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_archive_is_refused(tmp_path: Path, share: float) -> None:
    save_images(tmp_path / "a.npz", build())
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(SemisynthError, match=r"a.npz: not a whole .npz archive"):
        load_images(tmp_path / "a.npz")


def test_size_of_the_unpacked_archive_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", images=np.zeros((1000, 64, 64), np.uint8))
    monkeypatch.setattr(imageset, "LARGEST_ARCHIVE", 10**6)
    with pytest.raises(SemisynthError, match=r"bomb.npz: unpacks to 4096\d+ bytes, the limit is 1000000"):
        read_archive(tmp_path / "bomb.npz")


def test_array_that_promises_more_than_memory_holds_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**60,)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue() + bytes(10))
    with pytest.raises(SemisynthError, match=r"bomb.npz: holds .* a damaged array"):
        read_archive(tmp_path / "bomb.npz")


@pytest.mark.parametrize(("old", "new"), [(b")", b" "), (b"}", b"!"), (b"'|u1'", b"|u1  ")])
def test_stored_array_with_a_damaged_header_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    array = io.BytesIO()
    np.save(array, np.zeros((40, 16, 16), np.uint8))  # so large that its header is read before its CRC
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", array.getvalue())
    before, magic, after = (tmp_path / "a.npz").read_bytes().partition(np.lib.format.MAGIC_PREFIX)
    (tmp_path / "a.npz").write_bytes(before + magic + after.replace(old, new, 1))  # a date may hold `old`
    with pytest.raises(SemisynthError, match=r"a.npz: holds .* a damaged array"):
        read_archive(tmp_path / "a.npz")


def test_archive_of_other_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("images", "text")
    with pytest.raises(SemisynthError, match=r"other.npz: `images` is not an array in NumPy's format"):
        load_images(tmp_path / "other.npz")


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(stream: Any, **_: Any) -> None:
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    save_images(tmp_path / "a.npz", build())
    before = (tmp_path / "a.npz").read_bytes()
    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_images(tmp_path / "a.npz", build(pool=10))
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
