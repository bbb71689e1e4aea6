import numpy as np
import pytest
from sklearn.svm import SVC

from semisynth.classifiers.archives import load_model, save_model
from semisynth.errors import SemisynthError


class Foreign(SVC):
    """A type of which skops knows nothing."""


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 3)), rng.integers(0, 3, 30)


def test_every_array_comes_back(points, tmp_path):
    model = SVC(C=2.0, gamma=0.5).fit(*points)
    save_model(tmp_path / "model.skops", model)
    loaded = load_model(tmp_path / "model.skops")
    assert loaded.get_params() == model.get_params()
    for name in ("support_vectors_", "dual_coef_", "n_support_", "intercept_", "classes_"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(model, name))
    np.testing.assert_array_equal(loaded.decision_function(points[0]), model.decision_function(points[0]))


def test_equal_models_give_equal_bytes_and_others_do_not(points, tmp_path):
    files = [tmp_path / name for name in ("first", "second", "other")]
    for file, penalty in zip(files, (2.0, 2.0, 1.0), strict=True):
        save_model(file, SVC(C=penalty, gamma=0.5).fit(*points))
    first, second, other = (file.read_bytes() for file in files)
    assert first == second != other


def test_a_foreign_type_is_refused(points, tmp_path):
    save_model(tmp_path / "model.skops", Foreign().fit(*points))
    with pytest.raises(SemisynthError, match=r"model\.skops: not a model that can be trusted .*Foreign"):
        load_model(tmp_path / "model.skops")


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "model.skops").write_bytes(b"garbage")
    with pytest.raises(SemisynthError, match="not a model that can be trusted"):
        load_model(tmp_path / "model.skops")
