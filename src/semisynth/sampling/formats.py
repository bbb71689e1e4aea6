"""Samples as an image set, as a grid, or as a folder of images; each whole or not at all."""

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from semisynth.data.imageset import LARGEST_ARCHIVE, SYNTHETIC, UNLABELLED
from semisynth.errors import SemisynthError
from semisynth.files import replacing_file, replacing_folder
from semisynth.reporting.figures import save_grid
from semisynth.sampling.classes import names_of
from semisynth.sampling.samples import SampleOptions, Samples

BYTES_BESIDE = 9  # an image: its label and its provenance
GRID_COLUMNS, MOST_GRID_ROWS, GRID_WIDTH = 20, 100, 1200  # the width in screen pixels, at most
LONGEST_NAME = 200  # characters of a folder's


def write_npz(out: Path, samples: Samples) -> None:
    """Write an image set (see `data.imageset`) without ever holding all of its images.

    Labels are -1 where nothing tells classes. SemisynthError where the loader would find the file too large.
    """
    trained, count = samples.synthesizer, len(samples)
    size = count * (trained.side**2 + BYTES_BESIDE)
    if size > LARGEST_ARCHIVE - 2**20:  # names and headers take their part
        raise SemisynthError(
            f"{out}: {count} images are {size} bytes, an .npz takes {LARGEST_ARCHIVE}; "
            "lower `--count`, or name a folder"
        )
    labels = (
        places.labels if samples.has_classes else np.full_like(places.labels, UNLABELLED)
        for places in samples.places()
    )
    provenance = (np.full(len(places.labels), SYNTHETIC, np.uint8) for places in samples.places())
    with replacing_file(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        _stream(archive, "images", np.uint8, (count, trained.side, trained.side), samples.images())
        _stream(archive, "labels", np.int64, (count,), labels)
        _stream(archive, "provenance", np.uint8, (count,), provenance)
        for name, value in (
            ("class_names", np.array(names_of(trained))),
            ("dataset", np.array(f"synthetic, {trained.recipe.name}")),
            ("pool", np.array(count, np.int64)),
        ):
            _stream(archive, name, value.dtype, value.shape, [value])


def _stream(
    archive: zipfile.ZipFile,
    name: str,
    dtype: DTypeLike,
    shape: tuple[int, ...],
    parts: Iterable[NDArray[np.generic]],
) -> None:
    """Append the array `name` in NumPy's format; `parts` follow each other along its first axis."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts:
            stream.write(part.tobytes())


def write_png(out: Path, samples: Samples) -> None:
    """Draw a grid with rows of `GRID_COLUMNS` images, each class on rows of its own.

    SemisynthError for more rows than a person would look at.
    """
    trained, options = samples.synthesizer, samples.options
    columns = min(options.count, GRID_COLUMNS)
    rows_per_class = -(-options.count // columns)
    check_rows(out, rows_per_class * len(samples.labels))
    shape = (len(samples.labels), options.count, trained.side, trained.side)
    by_class = np.concatenate(list(samples.images())).reshape(shape)
    padded = np.pad(by_class, [(0, 0), (0, rows_per_class * columns - options.count), (0, 0), (0, 0)])
    save_grid(
        out,
        padded.reshape(-1, trained.side, trained.side),
        columns,
        title=f"{trained.recipe.name}, seed {options.seed}{told(options)}",
        row_labels=_row_labels(samples, rows_per_class) if samples.has_classes else None,
        width=GRID_WIDTH,
    )


def check_rows(out: Path, rows: int) -> None:
    """SemisynthError for a grid of more than `MOST_GRID_ROWS`."""
    if rows > MOST_GRID_ROWS:
        raise SemisynthError(
            f"{out}: a picture takes {MOST_GRID_ROWS} rows of images, received {rows}; "
            "choose some classes with `--class`, or fewer images"
        )


def told(options: SampleOptions) -> str:
    """Truncation and temperature as a title tells them, where they are given."""
    given = {"truncation": options.truncation, "temperature": options.temperature}
    return "".join(f", {name} {value:g}" for name, value in given.items() if value is not None)


def _row_labels(samples: Samples, rows_per_class: int) -> list[str]:
    """A class's name beside its first row."""
    names = names_of(samples.synthesizer)
    return [text for label in samples.labels for text in [names[label], *[""] * (rows_per_class - 1)]]


def write_folder(out: Path, samples: Samples) -> None:
    """Write a PNG file an image, named by its number, into a folder a class, or into `out` where there are none.

    SemisynthError where the classes' names can't name folders that differ.
    """
    names = names_of(samples.synthesizer)
    folders = _folder_names([names[label] for label in samples.labels]) if samples.has_classes else [""]
    folder_of = dict(zip(samples.labels, folders, strict=True))
    digits = max(6, len(str(samples.options.count - 1)))
    with replacing_folder(out) as temporary:
        for folder in folders:
            (temporary / folder).mkdir(exist_ok=not folder)
        for images, places in zip(samples.images(), samples.places(), strict=True):
            for image, label, number in zip(images, places.labels.tolist(), places.numbers, strict=True):
                Image.fromarray(image).save(temporary / folder_of[label] / f"{number:0{digits}d}.png")


def _folder_names(names: Sequence[str]) -> list[str]:
    """The classes' names with `_` for what would part a path; `T-shirt/top` becomes `T-shirt_top`."""
    folders = [name.translate(dict.fromkeys(map(ord, "/\\\0"), "_")) for name in names]
    alike = [folder.casefold() for folder in folders]  # some file systems don't tell upper from lower case
    for name, folder, key in zip(names, folders, alike, strict=True):
        if not folder or folder.startswith(".") or len(folder) > LONGEST_NAME or alike.count(key) > 1:
            raise SemisynthError(
                f"class {name!r} can't name a folder of its own; choose other classes with `--class`, or an .npz"
            )
    return folders
