"""Why the most abnormal images are: the nearest training image, the likeliest class, what is unexpected where."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semisynth.anomaly.judged import Judged
from semisynth.errors import SemisynthError
from semisynth.files import replacing_folder, write_csv
from semisynth.reporting.figures import save_grid
from semisynth.scoring.decoding import decode
from semisynth.scoring.durable import sync_folder
from semisynth.scoring.inputs import Reader
from semisynth.scoring.model import BATCH_SIZE, DetectorModel
from semisynth.scoring.parts import place
from semisynth.scoring.pieces import Columns, Piece

COLUMNS = ["rank", "id", "score", "p_value", "nearest_id", "likeliest_class", "picture"]
MAGNIFIED = 8  # screen pixels a pixel
SHEET, TABLE = "worst.png", "explain.csv"
MOST_SHEET_ROWS = 100  # a picture of 1,000 took more memory than all the scoring


def write_explanations(
    folder: Path, model: DetectorModel, pieces: Sequence[Piece], worst: list[dict[str, Any]], columns: Columns
) -> None:
    """Write `explain.csv`, a residual picture of each of the `worst` rows, and a contact sheet of the first 100.

    A residual is the image minus what the principal components of normal images make of it.
    """
    images = _images(pieces, worst, Reader(columns, model.side, BATCH_SIZE))
    judged = model.judge(images, realness=False)
    restored, nearest = model.restored(judged), model.nearest_ids(judged)
    rows = list(_rows(worst, judged, nearest, model.class_names))
    with replacing_folder(folder) as inside:
        write_csv(inside / TABLE, COLUMNS, rows)
        residual = images.astype(np.int16) - restored  # (n, side, side), -255 to 255
        for row, values in zip(rows, residual, strict=True):
            residual_picture(values).save(inside / row["picture"])
        beside = {name: at for at, name in enumerate(model.references.ids)}
        twins = model.references.images[[beside[name] for name in nearest]]
        sheet = np.stack([images, twins, restored, np.abs(residual).astype(np.uint8)], axis=1)
        save_grid(
            inside / SHEET,
            sheet[:MOST_SHEET_ROWS].reshape(-1, model.side, model.side),
            4,
            title="image, nearest training image, restored, residual",
            row_labels=[str(row["id"]) for row in rows[:MOST_SHEET_ROWS]],
        )
    sync_folder(folder.parent)


def explained(folder: Path) -> int:
    """How many rows the explanations in `folder` are of: 0 where there are none."""
    try:
        with (folder / TABLE).open(newline="", encoding="utf-8", errors="replace") as stream:
            return sum(1 for _ in csv.DictReader(stream))
    except FileNotFoundError:
        return 0


def residual_picture(residual: NDArray[np.int16]) -> Image.Image:
    """A picture of a residual (side, side): red where the image is brighter than expected, blue where darker."""
    strength = np.minimum(np.abs(residual), 255).astype(np.uint8)
    pale = 255 - strength
    red, blue = np.where(residual > 0, 255, pale), np.where(residual < 0, 255, pale)
    pixels = np.stack([red, pale, blue], axis=-1).astype(np.uint8)
    return Image.fromarray(pixels.repeat(MAGNIFIED, 0).repeat(MAGNIFIED, 1))


def _rows(
    worst: Sequence[Mapping[str, Any]], judged: Judged, nearest: NDArray[np.str_], names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for at, row in enumerate(worst):
        likeliest = names[judged.likeliest[at]] if judged.class_count else ""
        yield {
            "rank": at + 1,
            "id": row["id"],
            "score": row["score"],
            "p_value": row["p_value"],
            "nearest_id": str(nearest[at]),
            "likeliest_class": likeliest,
            "picture": f"residual-{at + 1:04d}.png",
        }


def _images(pieces: Sequence[Piece], worst: Sequence[Mapping[str, Any]], reader: Reader) -> NDArray[np.uint8]:
    """The images of the rows, uint8 (n, side, side); SemisynthError where one can't be read any more."""
    found = dict(_found(pieces, worst, reader))
    for row in worst:
        if (row["piece"], row["row"]) not in found:
            raise SemisynthError(
                f"{place(pieces[row['piece']], row['row'])[0]}: expected the image {row['id']} that was scored, "
                "received none that can be read"
            )
    return np.stack([found[row["piece"], row["row"]] for row in worst])


def _found(
    pieces: Sequence[Piece], worst: Sequence[Mapping[str, Any]], reader: Reader
) -> Iterator[tuple[tuple[int, int], NDArray[np.uint8]]]:
    """Read the images of the rows again, and decode no more than the batches that hold them."""
    wanted: dict[int, set[int]] = {}
    for row in worst:
        wanted.setdefault(row["piece"], set()).add(row["row"])
    for piece, raw in reader.read([piece for piece in pieces if piece.index in wanted]):
        if raw is None:
            continue
        rows = wanted[piece.index] & set(range(raw.first, raw.first + len(raw.ids)))
        if rows:
            decoded = decode(raw, reader.side)
            for at, image in zip(decoded.rows.tolist(), decoded.images, strict=True):
                if at in rows:
                    yield (piece.index, at), image
