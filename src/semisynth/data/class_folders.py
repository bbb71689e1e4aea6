"""Images in a folder per class: the folders' names, sorted, are the classes, but for one without labels."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from semisynth.data.imageset import LARGEST_SIDE, SIDE_STEP, SMALLEST_SIDE, UNLABELLED, ImageSet
from semisynth.data.pixels import deep_mode, opaque_grey
from semisynth.errors import SemisynthError

FORMATS = ("PNG", "JPEG", "BMP", "GIF")
NO_CLASS = "unlabelled"  # name of the folder of images whose class is not known
MISSPELT = ("unlabelled", "unlabeled", "nolabel", "nolabels")  # less capitals, spaces, hyphens and underscores


def subfolders(folder: Path) -> list[Path]:
    """List the folders in `folder`, sorted by name, hidden ones left out."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_class_folders(folder: Path, dataset: str) -> ImageSet:
    """Read the images of every class folder in `folder` as grey levels, in the order of their names.

    Then those of folder `unlabelled`, if there is one, with label -1.
    SemisynthError names the class folder that is empty, or named almost as that one, or the first image that
    can't be read, has more than 8 bits a channel, or differs in size from the first one.
    """
    inside = subfolders(folder)
    classes = [path for path in inside if path.name != NO_CLASS]
    if len(classes) < 2:
        names = ", ".join(path.name for path in classes) or "none"
        raise SemisynthError(f"{folder}: expected a folder for each of at least 2 classes, received {names}")
    for path in classes:
        if path.name.casefold().translate(str.maketrans("", "", " -_")) in MISSPELT:
            raise SemisynthError(f"{path}: a class? The folder of images without a class is named `{NO_CLASS}`")
    files = [(path, label) for label, entry in enumerate(classes) for path in _files_of(entry)]
    if len(inside) > len(classes):
        files += [(path, UNLABELLED) for path in _files_of(folder / NO_CLASS)]
    first = _read_grey(files[0][0], None)
    return ImageSet(
        images=np.stack([first, *(_read_grey(path, first.shape) for path, _ in files[1:])]),
        labels=np.array([label for _, label in files], np.int64),
        class_names=tuple(path.name for path in classes),
        dataset=dataset,
        pool=len(files),
        source=str(folder),
    )


def _files_of(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not files:
        raise SemisynthError(f"{folder}: the folder has no image, expected at least one")
    return files


def _read_grey(path: Path, expected: tuple[int, ...] | None) -> NDArray[np.uint8]:
    """uint8 (side, side); the size is checked before anything is unpacked."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                _check_header(path, image, expected)
                grey = opaque_grey(image)
                if grey is None:
                    raise SemisynthError(f"{path}: expected an opaque image, received one with transparency")
                return grey
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SemisynthError(f"{path}: far too large, it may be a decompression bomb ({error})") from error
    except (OSError, ValueError, SyntaxError) as error:  # Pillow raises all three for damaged files
        formats = ", ".join(FORMATS)
        raise SemisynthError(f"{path}: unreadable as an image, expected {formats} ({error})") from error


def _check_header(path: Path, image: ImageFile.ImageFile, expected: tuple[int, ...] | None) -> None:
    shape = image.height, image.width
    if deep := deep_mode(image):
        raise SemisynthError(f"{path}: expected 8 bits a channel, received mode {deep}")
    if expected is not None and shape != expected:
        raise SemisynthError(
            f"{path}: images must have one size, expected {expected[1]}x{expected[0]}, "
            f"received {shape[1]}x{shape[0]}"
        )
    if shape[0] != shape[1] or not SMALLEST_SIDE <= shape[0] <= LARGEST_SIDE or shape[0] % SIDE_STEP:
        raise SemisynthError(
            f"{path}: images must be square, with a side of {SMALLEST_SIDE} to {LARGEST_SIDE} pixels that is a "
            f"multiple of {SIDE_STEP}, received {shape[1]}x{shape[0]}"
        )
