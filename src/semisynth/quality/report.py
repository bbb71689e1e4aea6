"""From features and predictions of the measuring classifier to the figures that a report prints."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisynth.quality.frechet import frechet_distance
from semisynth.quality.labels import (
    agreement_per_class,
    class_histogram,
    diversity_per_class,
    label_agreement,
    mean_diversity,
    mode_entropy,
)
from semisynth.quality.memorisation import distance_ratio, memorised_share


@dataclass(frozen=True)
class Measured:
    """Features (n, d) of the measuring classifier, and the labels int64 (n,) that the images came with."""

    features: NDArray[np.float32]
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
    """Fréchet distance to the test images, its floor, and memorisation; from at most `images` of each set.

    `frechet_floor` is the distance between as many training images and the same test images: what real
    images reach. It rises as the images get fewer, and below about d of them it drowns the distance.
    Only `memorised_share` looks at all training and test images.
    """
    count = min(len(synthetic), len(training), len(test), images)
    made, seen, unseen = (part.sample(count, seed).features for part in (synthetic, training, test))
    return {
        "images": count,
        "frechet_distance": frechet_distance(made, unseen),
        "frechet_floor": frechet_distance(seen, unseen),
        "nearest_distance_ratio": distance_ratio(made, seen, unseen),
        "memorised_share": memorised_share(made, training.features, test.features),
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
        "diversity_ratio": mean_diversity(diversity),
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
