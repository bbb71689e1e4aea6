"""From features and predictions of the measuring classifier to the figures that a report prints."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisynth.data.imageset import ImageSet
from semisynth.quality.frechet import frechet_distance
from semisynth.quality.histograms import histogram_distances, pixel_histogram
from semisynth.quality.kernel import kernel_distance
from semisynth.quality.labels import (
    agreement_per_class,
    class_histogram,
    diversity_per_class,
    label_agreement,
    mean_diversity,
    mode_entropy,
)
from semisynth.quality.memorisation import distance_ratio, memorisation_auroc, memorised_share
from semisynth.quality.neighbours import NEAREST, neighbourhood

PIXEL_BINS = 32  # wide enough that 0 and 1, alike to the eye, share one
SUBSET = 1000  # images of which a kernel distance is taken at a time, as in its paper
Features = NDArray[np.float32]


@dataclass(frozen=True)
class Measured:
    """Features (n, d) of the measuring classifier, and the labels int64 (n,) that the images came with."""

    features: Features
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, count: int, seed: int) -> "Measured":
        """Draw `count` of them at random, without replacement; all where there are no more."""
        chosen = np.random.default_rng([seed, len(self)]).permutation(len(self))[:count]
        return Measured(self.features[chosen], self.labels[chosen])


def distance_metrics(
    synthetic: Measured, training: Measured, test: Measured, *, images: int, seed: int
) -> dict[str, Any]:
    """Compare features with those of the test images; from at most `images` of each set.

    A `_floor` is the distance between as many training images and the same test images: what real images
    reach. It rises as the images get fewer, and that of the Fréchet distance drowns it below about d of them.
    Classes count as they come: where synthetic images are balanced and test images are not, that is a part of
    the distance and none of the floor. The measuring classifier was trained on the training images, which
    raises floors slightly.
    What ends in `_of_real` takes training images for synthetic ones in the same way; only in memorisation it
    takes one half of the test images so, and the other as held out.
    """
    count = min(len(synthetic), len(training), len(test), images)
    made, seen, unseen = (part.sample(count, seed).features for part in (synthetic, training, test))
    half = max(2, min(SUBSET, count // 2))  # subsets of all images would not differ, nor show a deviation
    near, near_real = (kernel_distance(part, unseen, subset_size=half, seed=seed) for part in (made, seen))
    return {
        "images": count,
        "frechet_distance": frechet_distance(made, unseen),
        "frechet_floor": frechet_distance(seen, unseen),
        "kernel_distance": near[0],
        "kernel_distance_sd": near[1],
        "kernel_floor": near_real[0],
        "kernel_floor_sd": near_real[1],
        **_neighbours(made, unseen),
        **_of_real(_neighbours(seen, unseen)),
        **_memorisation(made, seen, unseen),
        **_of_real(_memorisation(unseen[: count // 2], seen[: count - count // 2], unseen[count // 2 :])),
        "memorised_share": memorised_share(made, training.features, test.features),
    }


def _neighbours(made: Features, real: Features) -> dict[str, float]:
    return neighbourhood(real, made, min(NEAREST, len(real) - 1))._asdict()


def _memorisation(made: Features, seen: Features, unseen: Features) -> dict[str, float | None]:
    """Leave the ratio None where most images have an exact copy among the held-out ones."""
    try:
        ratio = distance_ratio(made, seen, unseen)
    except ValueError:
        ratio = None
    return {"nearest_distance_ratio": ratio, "memorisation_auroc": memorisation_auroc(made, seen, unseen)}


def _of_real(metrics: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}_of_real": value for name, value in metrics.items()}


def histogram_metrics(
    predicted: NDArray[np.int64], synthetic: ImageSet, as_many: ImageSet, test: ImageSet
) -> dict[str, Any]:
    """Distances of the synthetic histograms from those of the test images, and floors from `as_many` real ones.

    Of classes, by the measuring classifier's labels `predicted` int64 (n,), and of grey levels. The earth
    mover's distance is in steps between the numbers of classes, and in grey levels of 0 to 255. Balanced synthetic
    images differ from test images of unequal classes by that alone; the floors, of labels that came with the
    images, don't.
    """

    def classes(labels: NDArray[np.int64]) -> NDArray[np.int64]:
        return class_histogram(labels, test.classes)

    def pixels(data: ImageSet) -> NDArray[np.int64]:
        return pixel_histogram(data.images, PIXEL_BINS)

    spacing, of_classes, of_pixels = 256 / PIXEL_BINS, classes(test.labels), pixels(test)
    return {
        "class_histogram_distance": histogram_distances(classes(predicted), of_classes),
        "class_histogram_floor": histogram_distances(classes(as_many.labels), of_classes),
        "pixel_histogram_distance": histogram_distances(pixels(synthetic), of_pixels, spacing),
        "pixel_histogram_floor": histogram_distances(pixels(as_many), of_pixels, spacing),
    }


def label_metrics(
    synthetic: Measured,
    predicted: NDArray[np.int64],
    test: Measured,
    class_names: Sequence[str],
    *,
    images: int,
    seed: int,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Label agreement beside what keeps it honest, and a row per class: class, agreement, images, diversity.

    `predicted` int64 (n,) are the measuring classifier's labels of the synthetic images. `images` bounds those
    of each set whose distances are taken.
    """
    asked, classes = synthetic.labels, len(class_names)
    made, real = synthetic.sample(images, seed), test.sample(images, seed)
    diversity = diversity_per_class(made.features, made.labels, real.features, real.labels)
    agreement = agreement_per_class(asked, predicted, classes)
    histogram = class_histogram(predicted, classes)
    metrics = {
        "label_agreement": label_agreement(asked, predicted),
        "gan_test_accuracy": label_agreement(asked, predicted),
        "diversity_ratio": mean_diversity(diversity) if diversity else None,  # no two real images of any class
        "mode_entropy": mode_entropy(histogram),
        "mode_entropy_of_even_classes": math.log(classes),
        "class_histogram": dict(zip(class_names, histogram.tolist(), strict=True)),
        "label_agreement_per_class": dict(zip(class_names, agreement, strict=True)),
    }
    counts = class_histogram(asked, classes).tolist()
    rows = [
        {"class": name, "agreement": agreement[label], "images": counts[label], "diversity": diversity.get(label)}
        for label, name in enumerate(class_names)
    ]
    return metrics, rows
