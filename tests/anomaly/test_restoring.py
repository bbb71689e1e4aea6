import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from semisynth.anomaly.judged import Judged
from semisynth.anomaly.metrics import auroc
from semisynth.anomaly.restoring import BUILDERS, AutoencoderDetector


def shown(images):
    return Judged(images, None, np.zeros((len(images), 1), np.float32))


@pytest.mark.parametrize("kind", ["undercomplete", "denoising", "linear"])
def test_what_was_not_seen_is_restored_worse(kind, normal, outliers):
    detector = AutoencoderDetector(kind).fit(shown(normal(0).images))
    both = shown(np.concatenate([normal(1, 100).images, outliers(2).images]))
    scores = detector.score_samples(both)
    assert (scores.shape, scores.dtype) == ((140,), np.float64)
    assert scores.min() >= 0
    assert auroc(np.arange(140) >= 100, scores) > 0.99


def test_a_linear_one_leaves_about_what_principal_components_leave(normal):
    images = normal(0).images
    detector = AutoencoderDetector("linear").fit(shown(images))
    rows = images.reshape(len(images), -1) / 255
    pca = PCA(32).fit(rows)
    least = np.square(pca.inverse_transform(pca.transform(rows)) - rows).mean()
    left = detector.score_samples(shown(images)).mean()
    assert least < left < np.square(rows - rows.mean(axis=0)).mean() / 4


def test_all_that_is_learnt_stands_in_arrays(normal):
    some = shown(normal(1, 20).images)
    detector, other = AutoencoderDetector("linear").fit(shown(normal(0).images)), AutoencoderDetector()
    other.arrays = dict(detector.arrays)
    np.testing.assert_array_equal(other.score_samples(some), detector.score_samples(some))
    assert len(detector.score_samples(some.take(np.arange(0)))) == 0


def test_equal_random_states_give_equal_weights(normal):
    data = shown(normal(0, 100).images)
    first, again, other = (AutoencoderDetector("linear", random_state=seed).fit(data).arrays for seed in (0, 0, 1))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first["w0"], other["w0"])


def test_images_larger_than_the_default_code_can_be_denoised():
    assert BUILDERS["denoising"](36).get_layer("code").units == 1620
    assert BUILDERS["denoising"](28).get_layer("code").units == 1000


def test_it_must_be_fitted_first(normal):
    with pytest.raises(NotFittedError, match="call `fit`"):
        AutoencoderDetector().score_samples(shown(normal(0, 2).images))
