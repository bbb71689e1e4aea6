"""Draw a picture of a trained synthesizer's latent space: what `semisynth latent` runs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semisynth.data.imageset import ImageSet, load_images
from semisynth.errors import SemisynthError, UsageError
from semisynth.reporting.figures import save_grid
from semisynth.sampling.classes import chosen_classes, names_of
from semisynth.sampling.formats import check_rows
from semisynth.sampling.latents import check_truncation
from semisynth.sampling.outputs import PictureName, check_vacant, format_of
from semisynth.sampling.pictures import (
    Drawing,
    Sheet,
    class_sheet,
    interpolation_sheet,
    manifold_sheet,
    style_sheet,
)
from semisynth.sampling.style import distance_of, found_latents
from semisynth.synthesizers.families import load_sampler
from semisynth.training.determinism import seed_everything

COLUMNS: dict[PictureName, int] = {"classes": 10, "interpolation": 11, "manifold": 20, "style": 9}
FEWEST_COLUMNS, MOST_COLUMNS = 2, 20
WIDTH = 1400  # screen pixels that the images fill at most


@dataclass(frozen=True)
class PictureOptions:
    """What to draw; no `classes` stands for all, no `columns` for as many as the picture usually has.

    `to_seed` is where an interpolation ends. A style is that of the `rows` of the image set `images`, or of all.
    """

    picture: PictureName
    classes: tuple[str, ...] = ()
    columns: int | None = None
    seed: int = 0
    to_seed: int = 1
    truncation: float | None = None
    images: Path | None = None
    rows: tuple[int, ...] = ()
    force: bool = False


def write_picture(model: Path, out: Path, options: PictureOptions) -> str:
    """Draw a picture of the synthesizer in the bundle `model` to `out`, whole or not at all; tell of it in a line.

    SemisynthError where an option or the bundle is wrong, the recipe can't give the picture, or something stands
    at `out` already.
    """
    columns = options.columns or COLUMNS[options.picture]
    if not FEWEST_COLUMNS <= columns <= MOST_COLUMNS:
        raise UsageError(f"`--columns` must lie in {FEWEST_COLUMNS} to {MOST_COLUMNS}, received {columns}")
    check_vacant(out, format_of(out, "png"), force=options.force)
    seed_everything(options.seed)  # for the operations; the latents have their own seeds
    synthesizer = load_sampler(model)
    check_truncation(options.truncation, synthesizer.recipe)
    labels = chosen_classes(synthesizer, options.classes)
    check_rows(out, len(labels))
    drawing = Drawing(synthesizer, labels, options.seed, options.truncation)
    sheet, told = _sheet(drawing, columns, options)
    save_grid(
        out,
        sheet.images,
        columns,
        title=sheet.title,
        row_labels=sheet.row_labels,
        column_labels=sheet.column_labels,
        width=WIDTH,
    )
    return f"{out}: {len(sheet.images)} images{told}"


def _sheet(drawing: Drawing, columns: int, options: PictureOptions) -> tuple[Sheet, str]:
    """The picture, and what else there is to tell."""
    match options.picture:
        case "classes":
            return class_sheet(drawing, columns), ""
        case "interpolation":
            return interpolation_sheet(drawing, columns, options.to_seed), ""
        case "manifold":
            return manifold_sheet(drawing, columns), ""
        case "style":
            return _style(drawing, columns, options)


def _style(drawing: Drawing, columns: int, options: PictureOptions) -> tuple[Sheet, str]:
    if options.images is None:
        raise UsageError("picture `style` needs `--images`, an .npz with the images whose style is meant")
    chosen = _chosen_images(options.images, options.rows, names_of(drawing.synthesizer))
    latents = found_latents(drawing.synthesizer, chosen, seed=options.seed)
    distance = distance_of(drawing.synthesizer, latents, chosen)
    source = f"{len(chosen)} images of {options.images.name}"
    told = f"; the generator comes within {distance:.1f} of 255 grey levels of the chosen ones"
    return style_sheet(drawing, latents.mean(0), columns, source), told


def _chosen_images(path: Path, rows: tuple[int, ...], names: tuple[str, ...]) -> ImageSet:
    """The image set at `path`, or its images at `rows`; SemisynthError where one lies outside.

    `names` are those of the classes where the file has none.
    """
    if not path.is_file():
        raise SemisynthError(f"{path}: an image set (.npz) expected, found none")
    images = load_images(path, class_names=names)
    outside = next((row for row in rows if not 0 <= row < len(images)), None)
    if outside is not None:
        raise SemisynthError(f"{path}: `--row` must lie in 0 to {len(images) - 1}, received {outside}")
    return images.take(np.array(rows)) if rows else images
