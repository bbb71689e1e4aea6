import os
import pickle
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semisynth.data.idx import TEST_FILES, TRAIN_FILES, write_idx
from semisynth.data.own import load_own
from semisynth.errors import SemisynthError


def save(path: Path, level: int = 0, size: tuple[int, int] = (16, 16), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, level).save(path)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Two class folders, one image each, of grey levels 10 and 200."""
    folder = tmp_path / "animals"
    save(folder / "cat" / "1.png", 10)
    save(folder / "dog" / "1.png", 200)
    return folder


def test_class_folders(animals: Path) -> None:
    save(animals / "cat" / "0.png", 20)
    train, test = load_own(animals)
    assert test is None
    assert train.images.shape == (3, 16, 16)
    assert train.images[:, 0, 0].tolist() == [20, 10, 200]
    assert train.labels.tolist() == [0, 0, 1]
    assert (train.class_names, train.dataset, train.pool) == (("cat", "dog"), "animals", 3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "bmp", "gif"])
def test_formats(animals: Path, suffix: str) -> None:
    save(animals / "cat" / f"0.{suffix}", 60)
    assert load_own(animals)[0].images[0, 8, 8] == 60


def test_colours_become_grey_levels(animals: Path) -> None:
    Image.new("RGB", (16, 16), (255, 0, 0)).save(animals / "cat" / "0.png")
    assert load_own(animals)[0].images[0, 0, 0] == 76  # 0.299 of 255, as in ITU-R 601


def test_an_alpha_channel_may_be_opaque(animals: Path) -> None:
    Image.new("RGBA", (16, 16), (255, 0, 0, 255)).save(animals / "cat" / "0.png")
    assert load_own(animals)[0].images[0, 0, 0] == 76
    Image.new("P", (16, 16), 0).save(animals / "cat" / "1.png", transparency=bytes([255]))
    assert load_own(animals)[0].images[1].max() == 0
    see_through = Image.new("RGBA", (16, 16), (255, 0, 0, 255))
    see_through.putpixel((3, 4), (0, 0, 0, 254))
    see_through.save(animals / "dog" / "1.png")
    with pytest.raises(SemisynthError, match=r"dog/1\.png: expected an opaque image, received one with transp"):
        load_own(animals)


@pytest.mark.skipif(sys.platform == "darwin", reason="there file names are Unicode")
def test_a_class_name_that_is_no_unicode_is_refused(animals: Path) -> None:
    os.rename(os.fsencode(animals / "dog"), os.fsencode(animals) + b"/dog\xe9")  # noqa: PTH104, bytes
    with pytest.raises(SemisynthError, match=r"the name of class 'dog.*' is no valid Unicode"):
        load_own(animals)


def test_hidden_files_and_loose_files_are_left_out(animals: Path) -> None:
    (animals / ".DS_Store").write_bytes(b"x")
    (animals / "cat" / ".DS_Store").write_bytes(b"x")
    (animals / ".cache").mkdir()
    (animals / "README.txt").write_text("about")
    assert len(load_own(animals)[0]) == 2


def test_train_and_test_folders(animals: Path, tmp_path: Path) -> None:
    animals.rename(tmp_path / "train")
    for part in ("train", "test"):
        save(tmp_path / "own" / part / "cat" / "1.png", 1)
        save(tmp_path / "own" / part / "dog" / "1.png", 2)
    save(tmp_path / "own" / "test" / "dog" / "2.png", 3)
    train, test = load_own(tmp_path / "own")
    assert test is not None
    assert train.images[:, 0, 0].tolist() == [1, 2]
    assert test.images[:, 0, 0].tolist() == [1, 2, 3]
    assert test.labels.tolist() == [0, 1, 1]
    assert train.dataset == test.dataset == "own"


def test_train_folder_alone(animals: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    animals.rename(tmp_path / "own" / "train")
    train, test = load_own(tmp_path / "own")
    assert (len(train), test) == (2, None)


def test_a_third_folder_beside_train_and_test_is_named(animals: Path, tmp_path: Path) -> None:
    for part in ("train", "test", "val"):
        shutil.copytree(animals, tmp_path / "own" / part)
    with pytest.raises(SemisynthError, match="expected `train`, and `test` or nothing beside it, received val"):
        load_own(tmp_path / "own")


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    save(tmp_path / "own" / "train" / "1.png")
    save(tmp_path / "own" / "test" / "1.png")
    assert load_own(tmp_path / "own")[0].class_names == ("test", "train")


def test_test_folder_with_other_classes(animals: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    animals.rename(tmp_path / "own" / "train")
    save(tmp_path / "own" / "test" / "cat" / "1.png")
    save(tmp_path / "own" / "test" / "fox" / "1.png")
    with pytest.raises(SemisynthError, match=r"test: expected the classes cat, dog of .*train, received cat, fox"):
        load_own(tmp_path / "own")


def test_test_folder_with_another_size(animals: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    animals.rename(tmp_path / "own" / "train")
    save(tmp_path / "own" / "test" / "cat" / "1.png", size=(20, 20))
    save(tmp_path / "own" / "test" / "dog" / "1.png", size=(20, 20))
    with pytest.raises(SemisynthError, match=r"test: expected the side of .*train, 16 pixels, received 20"):
        load_own(tmp_path / "own")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SemisynthError, match="nowhere: no such file or folder"):
        load_own(tmp_path / "nowhere")


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SemisynthError, match="expected a folder for each of at least 2 classes, received none"):
        load_own(tmp_path)


def test_one_class(tmp_path: Path) -> None:
    save(tmp_path / "cat" / "1.png")
    with pytest.raises(SemisynthError, match="expected a folder for each of at least 2 classes, received cat"):
        load_own(tmp_path)


def test_class_without_images(animals: Path) -> None:
    (animals / "eel").mkdir()
    with pytest.raises(SemisynthError, match="eel: the folder has no image"):
        load_own(animals)


@pytest.mark.parametrize("content", [b"", b"just text", b"\x89PNG\r\n\x1a\n" + bytes(20)])
def test_unreadable_image_is_named(animals: Path, content: bytes) -> None:
    (animals / "cat" / "broken.png").write_bytes(content)
    with pytest.raises(
        SemisynthError, match=r"cat/broken.png: unreadable as an image, expected PNG, JPEG, BMP, GIF"
    ):
        load_own(animals)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif"])
def test_truncated_image_is_named(animals: Path, suffix: str) -> None:
    path = animals / "cat" / f"2.{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SemisynthError, match=rf"cat/2.{suffix}: unreadable as an image"):
        load_own(animals)


def test_other_formats_are_refused_whatever_their_name(animals: Path) -> None:
    Image.new("L", (16, 16)).save(animals / "cat" / "2.png", format="TIFF")
    with pytest.raises(SemisynthError, match=r"2.png: unreadable as an image"):
        load_own(animals)


def test_folder_in_place_of_an_image(animals: Path) -> None:
    (animals / "cat" / "more").mkdir()
    with pytest.raises(SemisynthError, match="cat/more: unreadable as an image"):
        load_own(animals)


def test_mixed_sizes_name_the_first_that_differs(animals: Path) -> None:
    save(animals / "cat" / "2.png", size=(20, 16))
    save(animals / "dog" / "2.png", size=(24, 24))
    with pytest.raises(SemisynthError, match=r"cat/2.png: .* one size, expected 16x16, received 20x16"):
        load_own(animals)


@pytest.mark.parametrize("size", [(16, 20), (12, 12), (68, 68), (18, 18)])
def test_sizes_that_do_not_fit(tmp_path: Path, size: tuple[int, int]) -> None:
    for name in ("cat", "dog"):
        save(tmp_path / name / "1.png", size=size)
    with pytest.raises(
        SemisynthError, match=rf"cat/1.png: images must be square, .* received {size[0]}x{size[1]}"
    ):
        load_own(tmp_path)


@pytest.mark.parametrize("limit", [100, 200])  # Pillow only warns up to twice its limit
def test_decompression_bomb(animals: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(SemisynthError, match=r"cat/1.png: far too large, it may be a decompression bomb"):
        load_own(animals)


def test_more_than_8_bits_are_refused_not_clipped(animals: Path) -> None:
    Image.fromarray(np.full((16, 16), 1000, np.uint16)).save(animals / "cat" / "2.png")
    with pytest.raises(SemisynthError, match=r"cat/2.png: expected 8 bits a channel, received mode I"):
        load_own(animals)


@pytest.mark.parametrize("colour", [2, 4, 6])
def test_colours_of_more_than_8_bits_are_refused_not_cut(animals: Path, colour: int) -> None:
    """Of types RGB, grey with alpha, RGBA; Pillow writes none of them."""
    header = b"IHDR" + struct.pack(">2I5B", 16, 16, 16, colour, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress((bytes(1 + 16 * 2 * {2: 3, 4: 2, 6: 4}[colour])) * 16)
    chunks = [
        struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in (header, pixels)
    ]
    (animals / "cat" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(SemisynthError, match=r"cat/2.png: expected 8 bits a channel, received mode .*;16B"):
        load_own(animals)


def write_idx_folder(folder: Path, labels: list[int], files: tuple[str, str], suffix: str = "") -> None:
    write_idx(folder / f"{files[0]}{suffix}", np.zeros((len(labels), 16, 16), np.uint8))
    write_idx(folder / f"{files[1]}{suffix}", np.array(labels))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_folder(tmp_path: Path, suffix: str) -> None:
    write_idx_folder(tmp_path / "own", [0, 1, 1], TRAIN_FILES, suffix)
    write_idx_folder(tmp_path / "own", [1, 0], TEST_FILES, suffix)
    train, test = load_own(tmp_path / "own")
    assert test is not None
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1, 1], [1, 0])
    assert (train.class_names, train.dataset) == (("0", "1"), "own")


def test_idx_folder_without_test_files(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, [0, 1, 1], TRAIN_FILES)
    assert load_own(tmp_path)[1] is None


def test_idx_folder_with_half_of_the_test_files(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, [0, 1, 1], TRAIN_FILES)
    write_idx_folder(tmp_path, [0, 1], TEST_FILES)
    (tmp_path / TEST_FILES[1]).unlink()
    with pytest.raises(SemisynthError, match=f"{TEST_FILES[1]}: no such file"):
        load_own(tmp_path)


def test_idx_folder_with_labels_alone(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, [0, 1, 1], TRAIN_FILES)
    (tmp_path / TRAIN_FILES[0]).unlink()
    with pytest.raises(SemisynthError, match=f"{TRAIN_FILES[0]}: no such file"):
        load_own(tmp_path)


def test_idx_test_label_that_training_lacks(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, [0, 1], TRAIN_FILES)
    write_idx_folder(tmp_path, [0, 2], TEST_FILES)
    with pytest.raises(SemisynthError, match=f"{TEST_FILES[0]}: `labels` must lie in -1 to 1, row 1 holds 2"):
        load_own(tmp_path)


def test_idx_label_without_images(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, [0, 2], TRAIN_FILES)
    with pytest.raises(SemisynthError, match=f"{TRAIN_FILES[0]}: class '1' has no image"):
        load_own(tmp_path)


GOOD = {"images": np.zeros((3, 16, 16), np.uint8), "labels": np.array([0, 1, 1])}


def test_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **GOOD, class_names=np.array(["cat", "dog"]))
    train, test = load_own(tmp_path / "own.npz")
    assert test is None
    assert (train.class_names, train.dataset, train.pool) == (("cat", "dog"), "own", 3)


def test_npz_without_class_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **GOOD)
    assert load_own(tmp_path / "own.npz")[0].class_names == ("0", "1")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.full((3, 16, 16), np.nan)}, "`images` must have dtype uint8, received float64"),
        ({"images": np.zeros((3, 16, 16), np.float32)}, "`images` must have dtype uint8, received float32"),
        ({"labels": np.array([0.0, 1.0, np.nan])}, "`labels` must have dtype int64, received float64"),
        ({"labels": np.array([0, 1, None])}, "pickled objects"),
        ({"class_names": np.array(["cat", None])}, "pickled objects"),
        ({"class_names": np.array(["cat", "cat"])}, "`class_names` must differ, received cat, cat"),
        ({"class_names": np.array(["cat", "dog", "eel"])}, "class 'eel' has no image"),
        ({"labels": np.array([0, 2, 2])}, "class '1' has no image"),
        ({"labels": np.array([1, 1, -1])}, "class '0' has no image"),
        ({"labels": np.array([0, 0, 0])}, "expected at least 2 classes, received 1"),
        ({"images": np.zeros((3, 18, 18), np.uint8)}, "multiple of 4, received 18"),
        ({"images": np.zeros((3, 16, 20), np.uint8)}, r"`images` must have shape \(n, side, side\)"),
        ({"images": np.zeros((0, 16, 16), np.uint8), "labels": np.zeros(0, np.int64)}, "`images` is empty"),
    ],
)
def test_npz_that_breaks_the_contract(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "own.npz", **{**GOOD, **arrays})
    with pytest.raises(SemisynthError, match=rf"own.npz: .*{message}"):
        load_own(tmp_path / "own.npz")


def test_training_images_may_lack_a_label(animals: Path, tmp_path: Path) -> None:
    save(animals / "unlabelled" / "1.png", 70)
    train, _ = load_own(animals)
    assert train.class_names == ("cat", "dog")
    assert (train.labels.tolist(), train.images[:, 0, 0].tolist()) == ([0, 1, -1], [10, 200, 70])
    np.savez(tmp_path / "own.npz", **{**GOOD, "labels": np.array([0, 1, -1])})
    train, _ = load_own(tmp_path / "own.npz")
    assert (train.labels.tolist(), train.pool) == ([0, 1, -1], 3)


def test_a_test_image_without_a_label_is_refused(animals: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    shutil.copytree(animals, both / "train")
    shutil.copytree(animals, both / "test")
    save(both / "test" / "unlabelled" / "1.png", 70)
    with pytest.raises(SemisynthError, match=r"both/test: every test image needs a label .*, image 2 has none"):
        load_own(both)


def test_a_folder_of_images_without_labels_is_no_class(animals: Path) -> None:
    (animals / "dog").rename(animals / "unlabelled")
    with pytest.raises(SemisynthError, match="at least 2 classes, received cat"):
        load_own(animals)


def test_npz_is_never_unpickled(tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(pickle.dumps({"images": 1}))
    with pytest.raises(SemisynthError, match=r"own.npz: not a whole .npz archive"):
        load_own(tmp_path / "own.npz")


def test_other_file(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("a,b")
    with pytest.raises(SemisynthError, match=r"own.csv: expected a folder or an .npz file"):
        load_own(tmp_path / "own.csv")


@pytest.mark.parametrize("name", ["unlabeled", "Unlabelled", "un-labelled", "no labels"])
def test_a_folder_named_almost_as_that_without_a_class_is_no_class(animals: Path, name: str) -> None:
    save(animals / name / "1.png", 70)
    with pytest.raises(
        SemisynthError, match=f"{name}: a class\\? The folder of images without .* is named `unlabelled`"
    ):
        load_own(animals)
