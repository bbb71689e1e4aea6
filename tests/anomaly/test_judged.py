import numpy as np
import pytest

from semisynth.anomaly.judged import Judged


def judged(classes):
    count = 2
    return Judged(np.zeros((count, 4, 4), np.uint8), np.zeros(count), np.zeros((count, 3)), classes)


def test_likeliest_class_and_its_softmax_probability():
    two = judged(np.log(np.array([[0.2, 0.8], [0.9, 0.1]])) + 100)
    assert two.likeliest.tolist() == [1, 0]
    assert two.confidence == pytest.approx([0.8, 0.9], rel=1e-5)


def test_without_classes_everything_is_of_one():
    none = judged(None)
    assert none.class_count == 0
    assert none.likeliest.tolist() == [0, 0]
    assert none.confidence.tolist() == [1, 1]


def test_take_keeps_the_order_asked_for(normal):
    some = normal(0)
    taken = some.take(np.array([5, 2]))
    np.testing.assert_array_equal(taken.features, some.features[[5, 2]])
    np.testing.assert_array_equal(taken.likeliest, some.likeliest[[5, 2]])


def test_realness_may_be_missing(normal):
    some = normal(0)
    made = Judged.of(some.images, {"features": some.features, "classes": some.classes})
    assert made.realness is None
    assert made.take(np.array([5, 2])).realness is None


def test_outputs_by_name_become_fields():
    images = np.zeros((1, 4, 4), np.uint8)
    made = Judged.of(images, {"realness": np.ones(1), "features": np.ones((1, 2)), "other": np.ones(1)})
    assert made.classes is None
    assert made.features.shape == (1, 2)
