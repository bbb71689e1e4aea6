import json

import numpy as np
import pytest
from scipy.stats import kstest

from semisynth.anomaly.judged import Judged
from semisynth.anomaly.metrics import auroc
from semisynth.anomaly.suite import DETECTORS, ENSEMBLE, NAMES, fit_suite, from_arrays
from semisynth.errors import SemisynthError, UsageError


@pytest.fixture(scope="module")
def suite(normal):
    generated = normal(9, 60).images
    return fit_suite(
        normal(0),
        normal(1),
        normal(2, 4999),
        generated=generated,
        autoencoder="undercomplete",
        references=100,
        random_state=0,
    )


def without_classes(judged):
    return Judged(judged.images, judged.realness, judged.features)


def test_all_detectors_and_the_ensemble_are_there(suite):
    assert suite.names == NAMES == (ENSEMBLE, *DETECTORS)


def test_the_ensemble_ranks_outliers_of_any_kind_on_top(suite, normal, outliers, joined):
    odd_pixels, odd_features = outliers(3), normal(4, 40)
    strange = Judged(odd_pixels.images, odd_features.realness, odd_features.features, odd_features.classes)
    other = Judged(odd_features.images, odd_pixels.realness, odd_pixels.features, odd_pixels.classes)
    for anomalies in (strange, other):
        scores = suite.scores(joined(normal(5, 200), anomalies), [ENSEMBLE])[ENSEMBLE]
        assert auroc(np.arange(240) >= 200, scores) > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_realness_is_read_where_a_suite_says_so(suite, normal, name):
    some = normal(6, 20)
    unasked = Judged(some.images, None, some.features, some.classes)
    assert suite.reads_realness([name]) == (name == "discriminator")
    if not suite.reads_realness([name]):
        np.testing.assert_array_equal(suite.scores(unasked, [name])[name], suite.scores(some, [name])[name])


def test_an_ensemble_reads_what_its_members_read(normal):
    suite = fit_suite(normal(0), normal(1), normal(2), references=50, members={"discriminator": 1.0, "pca": 2.0})
    assert suite.reads_realness([ENSEMBLE])
    with pytest.raises(SemisynthError, match="did you mean `pca`"):
        suite.reads_realness(["pcb"])


@pytest.mark.parametrize("name", NAMES)
def test_p_values_of_normal_images_are_uniform(suite, normal, name):
    fresh = normal(6, 1000)
    values = suite.p_values(name, suite.scores(fresh, [name])[name])
    assert kstest(values, "uniform").pvalue > 0.001
    assert np.mean(values <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_arrays_hold_everything(suite, normal):
    loaded = from_arrays(suite.arrays(), suite.parameters())
    assert loaded.names == suite.names
    some = normal(7, 50)
    expected = suite.scores(some, NAMES)
    for name, scores in loaded.scores(some, NAMES).items():
        np.testing.assert_array_equal(scores, expected[name])
        np.testing.assert_array_equal(loaded.p_values(name, scores), suite.p_values(name, scores))


def test_equal_random_states_give_equal_arrays(suite, normal):
    generated = normal(9, 60).images
    again = fit_suite(
        normal(0),
        normal(1),
        normal(2, 4999),
        generated=generated,
        autoencoder="undercomplete",
        references=100,
        random_state=0,
    )
    for name, array in again.arrays().items():
        np.testing.assert_array_equal(array, suite.arrays()[name], err_msg=name)


def test_a_discriminator_without_classes_has_fewer_detectors(normal, outliers, joined):
    suite = fit_suite(*(without_classes(normal(seed)) for seed in range(3)), references=50)
    assert set(NAMES) - set(suite.names) == {"class_logsumexp", "confidence", "reconstruction", "autoencoder"}
    scores = suite.scores(without_classes(joined(normal(5, 200), outliers(3))), [ENSEMBLE])[ENSEMBLE]
    assert auroc(np.arange(240) >= 200, scores) > 0.99


def test_without_a_discriminator_the_detectors_of_pixels_and_features_remain(normal, outliers, joined):
    def unjudged(judged):
        return Judged(judged.images, None, judged.features).take(np.arange(len(judged)))

    generated = normal(9, 60).images
    suite = fit_suite(*(unjudged(normal(seed)) for seed in range(3)), generated=generated, references=50)
    assert set(NAMES) - set(suite.names) == {"discriminator", "class_logsumexp", "confidence", "autoencoder"}
    scores = suite.scores(unjudged(joined(normal(5, 200), outliers(3))), suite.names)
    assert auroc(np.arange(240) >= 200, scores[ENSEMBLE]) > 0.99
    assert from_arrays(suite.arrays(), suite.parameters()).names == suite.names


def test_only_what_is_asked_for_runs(suite, normal, monkeypatch):
    ran = []
    plains = {name: kind.score_samples for name, kind in DETECTORS.items()}  # of all, before any is replaced
    for name, kind in DETECTORS.items():
        plain = plains[name]
        spy = lambda self, judged, plain=plain, name=name: ran.append(name) or plain(self, judged)  # noqa: E731
        monkeypatch.setattr(kind, "score_samples", spy)
    suite.scores(normal(1, 5), ["pca", ENSEMBLE])
    assert sorted(ran) == ["class_logsumexp", "features_mahalanobis", "pca", "strokes_mixture"]


def test_an_unknown_detector_is_named_with_the_nearest(suite, normal):
    with pytest.raises(UsageError, match="no detector `ensembel`; did you mean `ensemble`"):
        suite.scores(normal(1, 5), ["ensembel"])


@pytest.mark.parametrize("weight", [0.0, np.nan, np.inf, [1.0], "1", True])
def test_weights_that_are_no_number_above_0_are_refused(suite, weight):
    arrays = suite.arrays() | {"scale.features_mahalanobis.weight": np.array(weight)}
    with pytest.raises(ValueError, match=r"scale\.features_mahalanobis\.weight.*one number above 0 expected"):
        from_arrays(arrays, suite.parameters())


def test_calibration_scores_out_of_order_are_refused(suite):
    arrays = dict(suite.arrays())
    arrays["calibration.pca"] = arrays["calibration.pca"][::-1]
    with pytest.raises(ValueError, match=r"calibration\.pca.*rising order expected"):
        from_arrays(arrays, suite.parameters())


def test_a_detector_of_another_version_is_named(suite):
    """It may be a member of the ensemble, whose scores would be others without it."""
    with pytest.raises(ValueError, match=r"detector `strokes`: one of .*strokes_mixture.* must be fitted again"):
        from_arrays(suite.arrays(), suite.parameters() | {"strokes": {}})


SIZES = {"side": 16, "pixels": 256, "halved": 64, "features": 8, "classes": 3, "realness": 1}


def test_what_was_learnt_fits_its_layout(suite):
    from_arrays(suite.arrays(), suite.parameters()).check(SIZES)


def test_any_array_of_another_shape_or_type_or_with_nan_is_named(suite):
    arrays = suite.arrays()
    for name, array in arrays.items():
        others = [array[np.newaxis], array[:0] if array.ndim else array[np.newaxis], array.astype("S9")]
        if array.dtype.kind == "f":
            others += [
                np.where(np.arange(array.size).reshape(array.shape) == 0, value, array)
                for value in (np.nan, np.inf)
            ]
        for other in others:
            with pytest.raises(ValueError, match=rf"array `{name.replace('.', chr(92) + '.')}`.* expected"):
                from_arrays(arrays | {name: other}, suite.parameters()).check(SIZES)


@pytest.mark.parametrize(
    "name",
    ["features_knn.references", "pca.components", "isolation_forest.length", "autoencoder.w0", "autoencoder.kind"],
)
def test_a_missing_array_is_named(suite, name):
    arrays = {key: array for key, array in suite.arrays().items() if key != name}
    with pytest.raises(KeyError, match=name):
        from_arrays(arrays, suite.parameters()).check(SIZES)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("features_knn.chosen", lambda array: array[1:], r"int64 \(100\) expected, received int64 \(99,\)"),
        ("features_mahalanobis.whitening", lambda array: array[:, 1:], r"float32 \(8, 24\) expected"),
        ("isolation_forest.feature", lambda array: array + 256, r"0 to 255 expected, received 256 to \d+"),
        ("isolation_forest.children", lambda array: array - 1, r"0 to \d+ expected, received -1 to"),
        ("autoencoder.kind", lambda array: np.array("deep"), "undercomplete, denoising, linear expected"),
        ("autoencoder.w0", lambda array: array[..., :1], r"float32 \(.*\) expected"),
        ("scale.features_mahalanobis.knots", lambda array: array[::-1], "numbers in rising order expected"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(suite, name, change, message):
    arrays = suite.arrays()
    with pytest.raises(ValueError, match=rf"array `{name}`: {message}"):
        from_arrays(arrays | {name: change(arrays[name])}, suite.parameters()).check(SIZES)


def test_one_more_weight_and_no_member_are_refused(suite):
    arrays = suite.arrays()
    with pytest.raises(ValueError, match=r"autoencoder\.w99`: \d+ weights expected, received more"):
        from_arrays(arrays | {"autoencoder.w99": np.zeros(1, np.float32)}, suite.parameters()).check(SIZES)
    kept = {name: array for name, array in arrays.items() if not name.startswith("scale.")}
    with pytest.raises(ValueError, match=r"one of a member of the ensemble or more expected, found none"):
        from_arrays(kept, suite.parameters())


@pytest.mark.parametrize(
    "given", [None, [], {}, {"random_state": 0}, {"variance": "0.9", "random_state": 0}, {"variance": 0.9, "x": 0}]
)
def test_parameters_of_other_names_or_types_are_refused(suite, given):
    with pytest.raises(ValueError, match=r"detector `pca`: parameters like .* expected, received"):
        from_arrays(suite.arrays(), suite.parameters() | {"pca": given})


def test_no_neighbour_is_too_few(suite):
    few = suite.parameters()["features_knn"] | {"neighbours": 0}
    loaded = from_arrays(suite.arrays(), suite.parameters() | {"features_knn": few})
    with pytest.raises(
        ValueError, match="detector `features_knn`: `neighbours` of 1 or more expected, received 0"
    ):
        loaded.check(SIZES)


def test_parameters_of_numpy_are_kept_as_plain_ones():
    detector = DETECTORS["features_knn"](references=np.int64(7))
    assert json.loads(json.dumps(detector.parameters())) == {"neighbours": 5, "random_state": 0, "references": 7}


def test_a_loaded_detector_has_the_parameters_of_the_fitted_one(suite):
    loaded = from_arrays(suite.arrays(), suite.parameters())
    assert loaded.detectors["features_knn"].references == 100
    assert loaded.parameters() == suite.parameters()


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("realness", "`discriminator`: .* realness expected"),
        ("classes", "`class_logsumexp`: .* 1 classes or more"),
    ],
)
def test_a_detector_of_an_output_that_the_network_lacks_is_refused(suite, lacking, message):
    with pytest.raises(ValueError, match=message):
        suite.check({name: size for name, size in SIZES.items() if name != lacking})
