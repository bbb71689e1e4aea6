"""A user's own data: a folder of class folders, a folder of IDX files, or an NPZ archive."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from semisynth.data.class_folders import read_class_folders, subfolders
from semisynth.data.idx import TEST_FILES, TRAIN_FILES, read_pair
from semisynth.data.imageset import UNLABELLED, ImageSet, load_images
from semisynth.data.summary import images_per_class
from semisynth.errors import SemisynthError
from semisynth.files import is_unicode


def load_own(path: Path) -> tuple[ImageSet, ImageSet | None]:
    """Load the training images at `path`, and the test images if it has any of its own.

    `path` is an `.npz` with `images` and `labels` (see `imageset`), a folder with IDX files named as MNIST's
    (packed or not), or a folder of class folders, which may stand in `train` and `test`. Training images may lack
    a label: -1 in an `.npz`, folder `unlabelled` beside the class folders. SemisynthError names the file or folder
    and what is wrong with it.
    """
    if not path.exists():
        raise SemisynthError(f"{path}: no such file or folder, expected your own data (`download.path`)")
    train, test = _load_folder(path) if path.is_dir() else (_load_npz(path), None)
    _check_classes(train)
    if test is not None:
        _check_alike(train, test)
        _check_labels(test)
    return train, test


def without_repeats(train: ImageSet, test: ImageSet | None) -> ImageSet:
    """The training images less those that equal an earlier one, one with a label, or a test image.

    Else an image could lie on both sides of a split. SemisynthError where a class has no other image.
    """
    count = 0 if test is None else len(test)
    images = train.images if test is None else np.concatenate([test.images, train.images])
    later = np.flatnonzero(train.labels == UNLABELLED)
    order = np.concatenate([np.arange(count), count + np.setdiff1d(np.arange(len(train)), later), count + later])
    pixels = np.ascontiguousarray(images[order]).reshape(len(images), -1)
    first = np.unique(pixels.view(f"V{pixels.shape[1]}").ravel(), return_index=True)[1]
    kept = np.sort(order[first])
    left = train.take(kept[kept >= count] - count)
    for name, had, has in zip(
        train.class_names, *(images_per_class(data).values() for data in (train, left)), strict=True
    ):
        if had and not has:
            raise SemisynthError(
                f"{train.source}: every image of class {name!r} equals one of another class or of the test set"
            )
    return left


def _load_npz(path: Path) -> ImageSet:
    if path.suffix != ".npz":
        raise SemisynthError(f"{path}: expected a folder or an .npz file")
    data = load_images(path)
    return replace(data, dataset=path.stem, pool=len(data), provenance=None, confidence=None)


def _load_folder(folder: Path) -> tuple[ImageSet, ImageSet | None]:
    dataset = folder.resolve().name
    if any(_idx_file(folder, name) for name in (*TRAIN_FILES, *TEST_FILES)):
        return _load_idx(folder, dataset)
    parts = {part.name: part for part in subfolders(folder)}
    if "train" not in parts or not subfolders(parts["train"]):
        return read_class_folders(folder, dataset), None
    if extra := sorted(parts.keys() - {"train", "test"}):
        raise SemisynthError(
            f"{folder}: expected `train`, and `test` or nothing beside it, received {', '.join(extra)}"
        )
    test = parts.get("test")
    return read_class_folders(parts["train"], dataset), read_class_folders(test, dataset) if test else None


def _idx_file(folder: Path, name: str) -> Path | None:
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.exists()), None)


def _load_idx(folder: Path, dataset: str) -> tuple[ImageSet, ImageSet | None]:
    images, labels = read_pair(*(_idx_file(folder, name) or folder / name for name in TRAIN_FILES))
    names = tuple(str(label) for label in range(int(labels.max()) + 1))
    train = ImageSet(images, labels, names, dataset, pool=len(images), source=str(folder / TRAIN_FILES[0]))
    if not any(_idx_file(folder, name) for name in TEST_FILES):
        return train, None
    images, labels = read_pair(*(_idx_file(folder, name) or folder / name for name in TEST_FILES))
    return train, ImageSet(images, labels, names, dataset, pool=len(images), source=str(folder / TEST_FILES[0]))


def _check_classes(data: ImageSet) -> None:
    if len(set(data.class_names)) < data.classes:
        raise SemisynthError(f"{data.source}: `class_names` must differ, received {', '.join(data.class_names)}")
    for name in data.class_names:
        if not is_unicode(name):
            raise SemisynthError(f"{data.source}: the name of class {name!r} is no valid Unicode")
    empty = [name for name, count in images_per_class(data).items() if not count]
    if empty:
        raise SemisynthError(f"{data.source}: class {empty[0]!r} has no image, expected at least one")


def _check_labels(test: ImageSet) -> None:
    if UNLABELLED in test.labels:
        row = int(np.argmin(test.labels))
        raise SemisynthError(f"{test.source}: every test image needs a label of 0 or more, image {row} has none")


def _check_alike(train: ImageSet, test: ImageSet) -> None:
    if test.class_names != train.class_names:
        raise SemisynthError(
            f"{test.source}: expected the classes {', '.join(train.class_names)} of {train.source}, "
            f"received {', '.join(test.class_names)}"
        )
    if test.side != train.side:
        raise SemisynthError(
            f"{test.source}: expected the side of {train.source}, {train.side} pixels, received {test.side}"
        )
