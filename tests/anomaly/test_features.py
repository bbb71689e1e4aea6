import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf

from semisynth.anomaly.features import (
    MahalanobisDetector,
    NearestNeighboursDetector,
    PixelNeighboursDetector,
    StrokesDetector,
)
from semisynth.anomaly.judged import Judged


def judged(features, labels=None, classes=2):
    features = np.asarray(features, np.float32)
    logits = None if labels is None else np.eye(classes, dtype=np.float32)[labels]
    return Judged(np.zeros((len(features), 4, 4), np.uint8), np.zeros(len(features), np.float32), features, logits)


def test_mahalanobis_is_the_squared_distance_in_standard_deviations():
    random = np.random.default_rng(0)
    spread = np.array([3.0, 0.5])
    detector = MahalanobisDetector().fit(judged(random.normal(0, 1, (20_000, 2)) * spread))
    scores = detector.score_samples(judged([[0, 0], [6, 0], [0, 1]]))
    assert scores == pytest.approx([0, 4, 4], abs=0.15)


def test_mahalanobis_takes_the_nearest_class_by_its_own_covariance():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 5000)
    wide = np.where(labels[:, None] == 0, 4.0, 0.5)
    features = random.normal(0, 1, (10_000, 2)) * wide + 20 * labels[:, None]
    detector = MahalanobisDetector().fit(judged(features, labels))
    scores = detector.score_samples(judged([[4, 0], [20, 21]]))  # one and two standard deviations
    assert scores == pytest.approx([1, 4], abs=0.3)


def test_a_class_without_images_is_left_out():
    features = np.random.default_rng(0).normal(0, 1, (50, 2))
    detector = MahalanobisDetector().fit(judged(features, np.zeros(50, int), classes=3))
    assert detector.arrays["means"].shape == (1, 2)
    tiny = MahalanobisDetector().fit(judged(features[:4], np.arange(4) % 2))  # too few of each: one class
    assert tiny.arrays["means"].shape == (1, 2)


def test_neighbours_count_by_direction():
    detector = NearestNeighboursDetector(neighbours=2).fit(judged([[1, 0], [0, 1], [0, 5]]))
    scores = detector.score_samples(judged([[0, 9], [3, 0], [-1, 0]]))
    # To (0, 1) there are two neighbours at distance 0; to (1, 0) and (-1, 0) the second stands at a right angle.
    assert scores == pytest.approx([0, np.sqrt(2), np.sqrt(2)], abs=1e-3)


def test_the_fifth_nearest_of_all_references_counts():
    random = np.random.default_rng(0)
    normal, some = random.normal(0, 1, (300, 16)), random.normal(0, 1, (40, 16))
    scores = (
        NearestNeighboursDetector(neighbours=5, references=300).fit(judged(normal)).score_samples(judged(some))
    )
    lengths = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (some, normal)]
    distances = np.linalg.norm(lengths[0][:, None] - lengths[1], axis=2)  # (40, 300)
    np.testing.assert_allclose(scores, np.sort(distances, axis=1)[:, 4], rtol=1e-5)


def test_pixels_count_in_squares_of_four_by_direction():
    images = np.zeros((3, 5, 5), np.uint8)  # the odd row and column are left out
    images[0, :2, :2], images[1, 2:4, 2:4], images[2, 0, 0] = 200, 40, 80
    pixels = Judged(images, None, np.zeros((3, 1), np.float32))
    detector = PixelNeighboursDetector(neighbours=1).fit(pixels.take(np.array([0, 1])))
    fresh = np.zeros((2, 5, 5), np.uint8)
    fresh[0, 1, 1], fresh[0, 4, 4], fresh[1, :2, 2:4] = 9, 255, 255
    scores = detector.score_samples(Judged(fresh, None, np.zeros((2, 1), np.float32)))
    assert scores == pytest.approx([0, np.sqrt(2)], abs=1e-3)


def bars(count, angle, seed=0):
    """A bright bar each, at about `angle` in radians: judged images (count, 28, 28) without classes."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:28, :28] - 13.5
    turned = (angle + random.normal(0, 0.1, count))[:, None, None]
    beside = np.abs(down * np.cos(turned) - across * np.sin(turned) + random.normal(0, 1, (count, 1, 1)))
    images = np.clip(260 - 60 * beside, 0, 255) * (np.hypot(down, across) < 10)
    return Judged(images.astype(np.uint8), None, np.zeros((count, 1), np.float32))


def test_strokes_that_run_another_way_are_abnormal_whatever_the_features():
    detector = StrokesDetector().fit(bars(200, 0.0))
    alike, across = (detector.score_samples(bars(50, angle, seed=1)) for angle in (0.0, np.pi / 2))
    assert across.min() > alike.max() + 3 * np.ptp(alike)
    assert detector.arrays["directions"].shape == (588, 128)


@pytest.mark.parametrize("wanted", [{"directions": 0}, {"directions": -1}, {"clusters": 0}])
def test_strokes_without_a_direction_or_a_cluster_are_refused(wanted):
    ((key, value),) = wanted.items()
    with pytest.raises(ValueError, match=f"detector `s`: `{key}` of 1 or more expected, received {value}"):
        StrokesDetector(**wanted).check("s", {})


@pytest.mark.parametrize("neighbours", [1, 3, 20, 21, 60])
def test_few_and_many_neighbours_are_counted_alike(neighbours):
    random = np.random.default_rng(0)
    normal = np.repeat(random.normal(0, 1, (30, 4)), 2, axis=0)  # each twice: equal distances count apart
    some = random.normal(0, 1, (7, 4))
    received = NearestNeighboursDetector(neighbours=neighbours).fit(judged(normal)).score_samples(judged(some))
    lengths = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (some, normal)]
    distances = np.sort(np.linalg.norm(lengths[0][:, None] - lengths[1], axis=2), axis=1)
    np.testing.assert_allclose(received, distances[:, neighbours - 1], rtol=1e-4)


def test_strokes_of_each_class_have_their_own_distance():
    logits = np.repeat(np.eye(2, dtype=np.float32) * 9, 100, axis=0)
    detector = StrokesDetector(directions=20).fit(crossed(100, logits))
    of_both, between = (detector.score_samples(bars(50, angle, seed=1)) for angle in (np.pi / 2, np.pi / 4))
    assert between.min() > of_both.max()
    assert detector.arrays["means"].shape == (2, 20)


def crossed(count, logits=None):
    """So many bars that run across, and as many that run down."""
    images = np.concatenate([bars(count, angle).images for angle in (0.0, np.pi / 2)])
    return Judged(images, None, np.zeros((len(images), 1), np.float32), logits)


class OfFeatures(StrokesDetector):
    """Looks at the features in place of strokes."""

    def _points(self, judged):
        return judged.features


def test_what_lies_between_two_ways_to_write_a_class_is_abnormal():
    ways = np.random.default_rng(0).normal(0, 1, (400, 2)) + np.repeat([[-8, 0], [8, 0]], 200, axis=0)
    apart, whole = (OfFeatures(clusters=clusters).fit(judged(ways)) for clusters in (2, 1))
    some = judged([[-8, 0], [8, 0], [0, 0]])
    assert apart.score_samples(some).argmax() == 2
    assert whole.score_samples(some).argmin() == 2
    assert [len(one.arrays["means"]) for one in (apart, whole)] == [2, 1]


def test_strokes_are_scored_by_the_density_of_the_likeliest_gaussian():
    normal, some = crossed(150), bars(40, 0.3, seed=1)
    detector = StrokesDetector(directions=5).fit(normal)
    density = []
    for rows in np.split(detector._points(normal), 2):
        covariance = LedoitWolf().fit(rows.astype(np.float64)).covariance_
        density.append(multivariate_normal(rows.mean(axis=0), covariance).logpdf(detector._points(some)))
    expected = -2 * np.max(density, axis=0) - 5 * np.log(2 * np.pi)
    np.testing.assert_allclose(detector.score_samples(some), expected, rtol=1e-3)


@pytest.mark.parametrize(("few", "many", "parts"), [(9, 300, 1), (90, 90, 1), (10, 300, 2)])
def test_a_class_is_not_parted_where_a_cluster_would_have_few_images(few, many, parts):
    ways = np.random.default_rng(0).normal(0, 1, (few + many, 2))
    ways[:few] += 100
    assert len(OfFeatures().fit(judged(ways)).arrays["means"]) == parts


def test_strokes_that_never_differ_leave_finite_scores():
    same = bars(1, 0.0).images.repeat(20, axis=0)
    detector = StrokesDetector(directions=5).fit(Judged(same, None, np.zeros((20, 1), np.float32)))
    detector.check("s", {})
    assert np.isfinite(detector.score_samples(bars(5, 1.0))).all()


@pytest.mark.parametrize("kind", [MahalanobisDetector, NearestNeighboursDetector])
def test_a_second_fit_leaves_nothing_of_the_first(kind):
    random = np.random.default_rng(0)
    first, second, some = (random.normal(0, 1, (50, 4)) * scale for scale in (1, [1, 2, 3, 4], 1))
    refitted = kind().fit(judged(first))
    refitted.score_samples(judged(some))
    fresh = kind().fit(judged(second)).score_samples(judged(some))
    np.testing.assert_array_equal(refitted.fit(judged(second)).score_samples(judged(some)), fresh)


def test_only_so_many_references_are_kept_and_the_nearest_is_named():
    features = np.random.default_rng(0).normal(0, 1, (100, 4))
    detector = NearestNeighboursDetector(references=10, random_state=3).fit(judged(features))
    chosen = detector.arrays["chosen"]
    assert len(chosen) == len(detector.arrays["references"]) == 10
    assert detector.nearest(judged(features[chosen])).tolist() == list(range(10))


def test_fewer_references_than_neighbours_are_no_error():
    detector = NearestNeighboursDetector(neighbours=5).fit(judged([[1, 0], [0, 1]]))
    assert detector.score_samples(judged([[1, 0]])) == pytest.approx([np.sqrt(2)], abs=1e-3)
