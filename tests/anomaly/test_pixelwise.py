import numpy as np
import pytest
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM
from sklearn.pipeline import make_pipeline

from semisynth.anomaly.judged import Judged
from semisynth.anomaly.pixelwise import OneClassSvmDetector, PcaDetector, ReconstructionDetector


def judged(images):
    count = len(images)
    return Judged(images, np.zeros(count, np.float32), np.zeros((count, 2), np.float32))


def test_pca_restores_what_its_components_explain():
    images = np.zeros((20, 16, 16), np.uint8)
    images[:, 3, 3] = np.arange(20) * 12  # a single direction
    detector = PcaDetector().fit(judged(images))
    assert detector.score_samples(judged(images)) == pytest.approx(np.zeros(20), abs=1e-7)
    spoilt = images[:1].copy()
    spoilt[0, 8, 8] = 255  # one pixel of 256 is off by 1
    assert detector.score_samples(judged(spoilt)) == pytest.approx([1 / 256], rel=1e-4)
    restored = detector.restored(judged(spoilt)).reshape(16, 16)
    assert restored[8, 8] == pytest.approx(0, abs=1e-6)


def test_reconstruction_is_the_error_of_the_nearest_generated_image():
    generated = np.zeros((2, 4, 4), np.uint8)
    generated[1] = 255
    detector = ReconstructionDetector(generated).fit(judged(generated))
    images = np.zeros((3, 4, 4), np.uint8)
    images[1, 0, 0] = 255  # one of 16 pixels from black
    images[2] = 255
    assert detector.score_samples(judged(images)) == pytest.approx([0, 1 / 16, 0], abs=1e-6)


def test_reconstruction_needs_generated_images(normal):
    with pytest.raises(ValueError, match="expected generated images"):
        ReconstructionDetector().fit(normal(0))


def test_one_class_svm_equals_scikit_learns(normal):
    some, other = normal(0), normal(1)
    detector = OneClassSvmDetector(landmarks=40, random_state=5).fit(some)
    gamma = 1 / (256 * some.pixels.var())
    kernel = Nystroem(gamma=gamma, n_components=40, random_state=5)
    pipeline = make_pipeline(kernel, SGDOneClassSVM(nu=0.05, random_state=5)).fit(some.pixels)
    expected = -pipeline.decision_function(other.pixels)
    np.testing.assert_allclose(detector.score_samples(other), expected, rtol=1e-3, atol=1e-4)
