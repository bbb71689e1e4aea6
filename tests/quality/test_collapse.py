import numpy as np
import pytest

from semisynth.quality.collapse import Diversity, collapse_warning, measure_diversity


def clusters(seed, per_class=40, spread=1.0):
    random, labels = np.random.default_rng(seed), np.repeat([0, 1, 2], per_class)
    return 50.0 * labels[:, np.newaxis] + spread * random.normal(size=(len(labels), 4)), labels


def test_samples_as_diverse_as_real_images_measure_1():
    (made, asked), (real, labels) = clusters(0), clusters(1)
    measured = measure_diversity(made, real, (asked, labels), asked, 3)
    assert (measured.features, measured.classes) == pytest.approx((1, 1), abs=0.15)
    assert measure_diversity(made, real, None, asked, 3) == Diversity(pytest.approx(1, abs=0.1), pytest.approx(1))


def test_one_image_a_class_shows_within_the_classes():
    (made, asked), (real, labels) = clusters(0, spread=0.01), clusters(1)
    assert measure_diversity(made, real, None, asked, 3).features > 0.9
    measured = measure_diversity(made, real, (asked, labels), asked, 3)
    assert (measured.features, measured.classes) == pytest.approx((0.01, 1), abs=0.01)


def test_one_class_alone_shows_in_the_classes_and_the_features():
    (made, asked), (real, labels) = clusters(0), clusters(1)
    only = asked == 1
    measured = measure_diversity(made[only], real, (asked[only], labels), asked[only], 3)
    assert measured.classes == 0
    assert measured.features == pytest.approx(1 / 3, abs=0.05)
    assert measure_diversity(made[only], real, None, asked[only], 3).features < 0.1


def test_data_of_one_class_has_no_class_to_lose():
    (made, _), (real, _) = clusters(0, 1), clusters(1, 1)
    none = np.zeros(3, np.int64)
    assert measure_diversity(made, real, (none, none), none, 1).classes == 1


GOOD, ALIKE, ONE_CLASS = Diversity(0.9, 0.99), Diversity(0.1, 0.99), Diversity(0.9, 0.2)


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        ([], None),
        ([ALIKE], None),
        ([GOOD, ALIKE], None),
        ([ALIKE, ALIKE, GOOD], None),
        ([ALIKE, ONE_CLASS], None),
        ([GOOD, ALIKE, ALIKE], "0.10 times as much"),
        ([GOOD, ONE_CLASS, ONE_CLASS], "classes is 0.20 times what it should be"),
    ],
)
def test_the_alarm_waits_for_two_epochs_and_says_what_it_saw(epochs, expected):
    warning = collapse_warning(epochs)
    assert warning is None if expected is None else expected in warning


def test_patience_and_thresholds_are_arguments():
    assert collapse_warning([ALIKE], patience=1)
    assert collapse_warning([GOOD, GOOD], least_features=0.95)
    assert collapse_warning([GOOD, GOOD], least_classes=1.0)
