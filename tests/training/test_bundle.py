import json

import keras
import numpy as np
import pytest

from semisynth.errors import SemisynthError
from semisynth.training.bundle import (
    load_bundle,
    load_weights,
    save_bundle,
    save_weights,
    setting,
    side_and_classes,
)


@pytest.fixture
def bundle(tmp_path):
    save_bundle(
        tmp_path / "b", "kind", {"side": 28, "flag": True}, lambda inside: (inside / "f.txt").write_text("x")
    )
    return tmp_path / "b"


def test_round_trip(bundle):
    loaded = load_bundle(bundle, "kind")
    assert setting(loaded, "side", int) == 28
    assert (loaded.folder / "f.txt").read_text() == "x"


def test_a_changed_file_is_refused(bundle):
    (bundle / "f.txt").write_text("y")
    with pytest.raises(SemisynthError, match=r"f\.txt: damaged, SHA-256"):
        load_bundle(bundle)


def test_a_missing_file_is_refused(bundle):
    (bundle / "f.txt").unlink()
    with pytest.raises(SemisynthError, match="no such file in the bundle"):
        load_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "bundle format 1 expected, received 2"),
        ({"kind": "other"}, "kind `kind` expected, received `other`"),
        ({"settings": {"side": 32, "flag": True}}, "the settings differ from their SHA-256"),
        ({"sha256": {}}, "the settings differ from their SHA-256"),
        ({"sha256": 3}, "not a bundle's manifest"),
    ],
)
def test_a_wrong_manifest_is_refused(bundle, change, message):
    path = bundle / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SemisynthError, match=message):
        load_bundle(bundle, "kind")


def test_a_file_that_the_manifest_does_not_vouch_for_is_refused(bundle):
    (bundle / "g.txt").write_text("x")
    loaded = load_bundle(bundle)
    assert loaded.file("f.txt").read_text() == "x"
    with pytest.raises(SemisynthError, match=r"file `g\.txt` expected, found \['f\.txt'\]"):
        loaded.file("g.txt")


def test_a_manifest_names_no_file_outside_its_folder(bundle):
    path = bundle / "bundle.json"
    (bundle.parent / "f.txt").write_text("x")
    manifest = json.loads(path.read_text())
    manifest["sha256"]["../f.txt"] = manifest["sha256"].pop("f.txt")
    path.write_text(json.dumps(manifest))
    with pytest.raises(SemisynthError, match="no such file in the bundle"):
        load_bundle(bundle)


def test_a_missing_bundle_says_what_to_run(tmp_path):
    with pytest.raises(SemisynthError, match="dvc repro"):
        load_bundle(tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("flag", int), ("side", str), ("none", int)])
def test_a_wrong_setting_is_named(bundle, name, kind):
    with pytest.raises(SemisynthError, match=f"setting `{name}` must be {kind.__name__}"):
        setting(load_bundle(bundle), name, kind)


def test_nothing_is_left_where_writing_fails(tmp_path):
    def fail(inside):
        (inside / "half").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        save_bundle(tmp_path / "b", "kind", {}, fail)
    assert list(tmp_path.iterdir()) == []


def dense(units):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])


def test_weights_round_trip_and_equal_weights_give_equal_bytes(tmp_path):
    model, other = dense(2), dense(2)
    save_weights(tmp_path / "a.npz", model)
    load_weights(tmp_path / "a.npz", other)
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])
    save_weights(tmp_path / "b.npz", other)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value, tmp_path):
    model = dense(2)
    model.set_weights([np.full((3, 2), value, np.float32), np.zeros(2, np.float32)])
    save_weights(tmp_path / "a.npz", model)
    with pytest.raises(SemisynthError, match=r"a\.npz: finite weights expected"):
        load_weights(tmp_path / "a.npz", dense(2))


def test_sizes_that_no_image_set_has_are_refused(tmp_path):
    save_bundle(tmp_path / "b", "kind", {"side": 2**20, "classes": 10}, lambda inside: None)
    with pytest.raises(SemisynthError, match="setting `side` must lie in 4 to 256, received 1048576"):
        side_and_classes(load_bundle(tmp_path / "b"))
    save_bundle(tmp_path / "b", "kind", {"side": 28, "classes": 0}, lambda inside: None)
    with pytest.raises(SemisynthError, match="setting `classes` must lie in 1 to 65536, received 0"):
        side_and_classes(load_bundle(tmp_path / "b"))


def test_weights_of_another_shape_are_refused(tmp_path):
    save_weights(tmp_path / "a.npz", dense(2))
    with pytest.raises(SemisynthError, match=r"weights of shapes \[\(3, 4\), \(4,\)\] expected"):
        load_weights(tmp_path / "a.npz", dense(4))
