"""The data contract: the one module that loads, checks and saves image sets.

An image set is an `.npz` archive read with `allow_pickle=False`:

=================  =========  ==================  ====================================================
`images`           uint8      (n, height, width)  grey, 0 = background
`labels`           int64      (n,)                class index, -1 = unlabelled (as in scikit-learn)
`class_names`      unicode    (k,)                one name a class, k >= 2
`dataset`          unicode    ()                  the data set really used
`pool`             int64      ()                  training images there are, labelled or not
`provenance`       uint8      (n,)                augmented files only: 0 labelled, 1 synthetic, 2 pseudo
`confidence`       float32    (n,)                augmented files only: of the label, in [0, 1]
=================  =========  ==================  ====================================================
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.files import DAMAGED_ARRAY, replacing_file

UNLABELLED = -1
LABELLED, SYNTHETIC, PSEUDO = 0, 1, 2
PROVENANCES = ("labelled", "synthetic", "pseudo")
SMALLEST_SIDE, LARGEST_SIDE, SIDE_STEP = 16, 64, 4
LARGEST_ARCHIVE = 8 * 2**30  # bytes, unpacked

type_of_field = {
    "images": np.uint8,
    "labels": np.int64,
    "provenance": np.uint8,
    "confidence": np.float32,
}


@dataclass(frozen=True)
class ImageSet:
    """Images with labels; the module's docstring gives shapes and dtypes. Construction checks them all."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    dataset: str
    pool: int
    provenance: NDArray[np.uint8] | None = None
    confidence: NDArray[np.float32] | None = None
    source: str = field(default="image set", compare=False)

    def __post_init__(self) -> None:
        """Raise SemisynthError that names `source` where a field breaks the contract."""
        _check_arrays(self)
        _check_values(self)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def side(self) -> int:
        """Height and width in pixels."""
        return int(self.images.shape[1])

    def take(self, indices: NDArray[Any] | Sequence[int]) -> Self:
        """The images at `indices` (n,) int or bool, in that order."""
        chosen = np.asarray(indices)
        return replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            provenance=None if self.provenance is None else self.provenance[chosen],
            confidence=None if self.confidence is None else self.confidence[chosen],
        )

    def with_labels_removed(self) -> Self:
        """The same images, every label -1: nothing downstream can look."""
        return replace(self, labels=np.full(len(self), UNLABELLED, np.int64), provenance=None, confidence=None)


def _check_arrays(data: ImageSet) -> None:
    shape = data.images.shape
    if len(shape) != 3 or shape[1] != shape[2]:
        raise SemisynthError(f"{data.source}: `images` must have shape (n, side, side), received {shape}")
    for name, dtype in type_of_field.items():
        value = getattr(data, name)
        if value is None:
            continue
        if value.dtype != dtype:
            raise SemisynthError(
                f"{data.source}: `{name}` must have dtype {np.dtype(dtype)}, received {value.dtype}"
            )
        if name != "images" and value.shape != data.images.shape[:1]:
            raise SemisynthError(
                f"{data.source}: `{name}` must have shape ({len(data.images)},) to match `images`, "
                f"received {value.shape}"
            )
    if shape[0] == 0:
        raise SemisynthError(f"{data.source}: `images` is empty, expected at least one image")
    if not SMALLEST_SIDE <= shape[1] <= LARGEST_SIDE or shape[1] % SIDE_STEP:
        raise SemisynthError(
            f"{data.source}: images must be square, with a side of {SMALLEST_SIDE} to {LARGEST_SIDE} pixels "
            f"that is a multiple of {SIDE_STEP}, received {shape[1]}"
        )


def _check_values(data: ImageSet) -> None:
    if data.classes < 2:
        raise SemisynthError(f"{data.source}: expected at least 2 classes, received {data.classes}")
    low, high = int(data.labels.min()), int(data.labels.max())
    if low < UNLABELLED or high >= data.classes:
        row = int(np.flatnonzero((data.labels < UNLABELLED) | (data.labels >= data.classes))[0])
        raise SemisynthError(
            f"{data.source}: `labels` must lie in -1 to {data.classes - 1}, "
            f"row {row} holds {int(data.labels[row])}"
        )
    if data.provenance is not None and int(data.provenance.max()) >= len(PROVENANCES):
        raise SemisynthError(f"{data.source}: `provenance` must be 0, 1 or 2, received {data.provenance.max()}")
    if data.confidence is not None:
        outside = ~((data.confidence >= 0) & (data.confidence <= 1))  # true for NaN as well
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise SemisynthError(
                f"{data.source}: `confidence` must lie in 0 to 1, row {row} holds {data.confidence[row]}"
            )
    if data.pool < 1:
        raise SemisynthError(f"{data.source}: `pool` must be at least 1, received {data.pool}")


def read_archive(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an `.npz`, without unpickling; a damaged, oversized or pickled one raises SemisynthError."""
    if not path.is_file():
        raise SemisynthError(f"{path}: no such file; run the stage that writes it first (`dvc repro`)")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST_ARCHIVE:
            raise SemisynthError(f"{path}: unpacks to {size} bytes, the limit is {LARGEST_ARCHIVE}")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError, RuntimeError) as error:
        raise SemisynthError(f"{path}: not a whole .npz archive ({error})") from error
    except DAMAGED_ARRAY as error:
        raise SemisynthError(f"{path}: holds pickled objects or a damaged array ({error})") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy gives the bytes of members in other formats
            raise SemisynthError(f"{path}: `{name}` is not an array in NumPy's format")
    return arrays


def load_images(path: Path, *, class_names: Sequence[str] | None = None) -> ImageSet:
    """Load and check the image set at `path`; SemisynthError names the file and what is wrong with it.

    `class_names`, `dataset` and `pool` may be missing in it: then those given, else class indices serve as names,
    the file's stem as the data set, and the number of images as the pool.
    """
    arrays = read_archive(path)
    for name in ("images", "labels"):
        if name not in arrays:
            raise SemisynthError(f"{path}: array `{name}` is missing, found {sorted(arrays)}")
        if arrays[name].dtype.kind not in "iu":
            raise SemisynthError(
                f"{path}: `{name}` must have dtype {np.dtype(type_of_field[name])}, received {arrays[name].dtype}"
            )
    labels = arrays["labels"]
    pool = arrays.get("pool", np.array(labels.size))
    if pool.shape != () or pool.dtype.kind not in "iu":
        raise SemisynthError(f"{path}: `pool` must be one integer, received {pool.dtype} of shape {pool.shape}")
    names = arrays.get("class_names", None if class_names is None else np.array(class_names))
    if names is None:
        highest = int(labels.max()) if labels.size else 0
        if highest >= 65536:
            raise SemisynthError(f"{path}: `labels` must lie below 65536, received {highest}")
        names = np.array([str(index) for index in range(highest + 1)])
    if names.dtype.kind != "U":
        raise SemisynthError(f"{path}: `class_names` must be strings, received {names.dtype}")
    return ImageSet(
        images=arrays["images"],
        labels=labels,
        class_names=tuple(str(name) for name in names.reshape(-1)),
        dataset=str(arrays.get("dataset", path.stem)),
        pool=int(pool),
        provenance=arrays.get("provenance"),
        confidence=arrays.get("confidence"),
        source=str(path),
    )


def save_images(path: Path, data: ImageSet) -> None:
    """Save `data` under `path` (a name that ends in .npz): whole, or not at all; equal data gives equal bytes."""
    with replacing_file(path) as temporary:
        write_images(temporary, data)


def write_images(path: Path, data: ImageSet) -> None:
    """As `save_images`, to a temporary `path` that its owner renames."""
    arrays: dict[str, NDArray[Any]] = {
        "images": data.images,
        "labels": data.labels,
        "class_names": np.array(data.class_names),
        "dataset": np.array(data.dataset),
        "pool": np.array(data.pool, np.int64),
    }
    if data.provenance is not None:
        arrays["provenance"] = data.provenance
    if data.confidence is not None:
        arrays["confidence"] = data.confidence
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
