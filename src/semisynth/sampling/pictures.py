"""Pictures of a synthesizer's latent space: grids, in which the latent changes along a row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisynth.errors import SemisynthError
from semisynth.sampling.classes import names_of
from semisynth.sampling.latents import Latents, between, draw_latents, plane
from semisynth.synthesizers.sampler import Sampler

MANIFOLD_LIMIT = 4.0  # of both components
STYLE_LIMIT = 2.0  # times the mean latent


@dataclass(frozen=True)
class Sheet:
    """Images uint8 (rows × columns, side, side), row by row, and what stands around them."""

    images: NDArray[np.uint8]
    title: str
    row_labels: Sequence[str] | None
    column_labels: Sequence[str]


@dataclass(frozen=True)
class Drawing:
    """A synthesizer, the classes that make the rows, and how latents are drawn."""

    synthesizer: Sampler
    labels: Sequence[int]
    seed: int = 0
    truncation: float | None = None

    def latents(self, label: int, count: int, seed: int | None = None) -> Latents:
        """The latents float32 (count, latent) of the first samples of a class, by its own seed or another."""
        return draw_latents(
            self.synthesizer.recipe,
            np.full(count, label),
            np.arange(count),
            seed=self.seed if seed is None else seed,
            truncation=self.truncation,
        )

    def decoded(self, latents: NDArray[np.floating]) -> NDArray[np.uint8]:
        """The images uint8 (rows × columns, side, side) of latents (rows, columns, latent), a row a class."""
        labels = np.repeat(np.array(self.labels, np.int64), latents.shape[1])
        return self.synthesizer.decode(latents.reshape(len(labels), -1).astype(np.float32), labels)

    @property
    def row_labels(self) -> list[str] | None:
        """The classes' names; None where there are no classes."""
        names = names_of(self.synthesizer)
        return [names[label] for label in self.labels] if self.synthesizer.has_classes else None

    def title(self, told: str) -> str:
        """The recipe's name, and what the picture shows."""
        truncated = "" if self.truncation is None else f", truncation {self.truncation:g}"
        return f"{self.synthesizer.recipe.name}: {told}{truncated}"


def class_sheet(drawing: Drawing, columns: int) -> Sheet:
    """A row a class, and one latent a column: what the class changes, and what it leaves.

    They are the latents of the first samples of the first class. SemisynthError for a recipe without classes.
    """
    if not drawing.synthesizer.has_classes:
        name = drawing.synthesizer.recipe.name
        raise SemisynthError(f"picture `classes` needs a recipe with classes, received `{name}`, which has none")
    latents = drawing.latents(drawing.labels[0], columns)
    repeated = np.broadcast_to(latents, (len(drawing.labels), *latents.shape))
    title = drawing.title(f"one latent a column, seed {drawing.seed}")
    return Sheet(drawing.decoded(repeated), title, drawing.row_labels, [str(number) for number in range(columns)])


def interpolation_sheet(drawing: Drawing, columns: int, to_seed: int) -> Sheet:
    """A row a class, from its first sample by the drawing's seed to its first one by `to_seed`: see `between`."""
    if not drawing.synthesizer.recipe.has_latent_space:
        name = drawing.synthesizer.recipe.name
        raise SemisynthError(f"picture `interpolation` needs a latent space, which recipe `{name}` does not have")
    ends = [(drawing.latents(label, 1)[0], drawing.latents(label, 1, to_seed)[0]) for label in drawing.labels]
    recipe = drawing.synthesizer.recipe
    latents = np.stack([between(recipe, first, last, columns) for first, last in ends])  # (rows, columns, latent)
    title = drawing.title(f"from seed {drawing.seed} (0) to seed {to_seed} (1)")
    return Sheet(drawing.decoded(latents), title, drawing.row_labels, _numbers(np.linspace(0, 1, columns)))


def manifold_sheet(drawing: Drawing, steps: int) -> Sheet:
    """One class over a two-dimensional latent, from -4 to 4: the first component to the right, the second upward.

    SemisynthError where the latent has another width, or the class is open.
    """
    recipe = drawing.synthesizer.recipe
    if recipe.latent_size != 2:
        raise SemisynthError(
            f"picture `manifold` needs a latent of width 2, received recipe `{recipe.name}` of width "
            f"{recipe.latent_size}"
        )
    if len(drawing.labels) != 1:
        raise SemisynthError(
            f"picture `manifold` shows one class, received {len(drawing.labels)}; choose by `--class`"
        )
    column = Drawing(drawing.synthesizer, list(drawing.labels) * steps)
    images = column.decoded(plane(steps, MANIFOLD_LIMIT).reshape(steps, steps, 2))
    places = _numbers(np.linspace(-MANIFOLD_LIMIT, MANIFOLD_LIMIT, steps))
    of = f"class {drawing.row_labels[0]}, " if drawing.row_labels else ""
    title = drawing.title(f"{of}first component of the latent to the right, second upward")
    return Sheet(images, title, places[::-1], places)


def style_sheet(drawing: Drawing, style: Latents, columns: int, source: str) -> Sheet:
    """A row a class: one latent for all, with -2 to 2 times the latent `style` (latent,) of `source` added."""
    factors = np.linspace(-STYLE_LIMIT, STYLE_LIMIT, columns)
    if drawing.synthesizer.recipe.ensemble > 1:
        style = np.append(style[:-1], np.float32(0))  # the member stays
    base = drawing.latents(drawing.labels[0], 1)  # (1, latent)
    latents = base + factors[:, np.newaxis] * style  # (columns, latent)
    repeated = np.broadcast_to(latents, (len(drawing.labels), *latents.shape))
    title = drawing.title(f"seed {drawing.seed} + so many times the style of {source}")
    return Sheet(drawing.decoded(repeated), title, drawing.row_labels, _numbers(factors))


def _numbers(values: NDArray[np.floating]) -> list[str]:
    """Values to two places, with a true minus sign, and none before 0."""
    return [f"{round(value, 2) + 0.0:g}".replace("-", "−") for value in values.tolist()]
