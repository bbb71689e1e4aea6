import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from semisynth.data.imageset import ImageSet, load_images, save_images
from semisynth.data.splitting import digest_of_indices
from semisynth.errors import SemisynthError
from semisynth.stages.split import split

SHIPPED = Path(__file__).parents[2] / "params.yaml"
PARTS = ("labelled", "unlabelled", "validation", "test")


def numbered(count: int) -> ImageSet:
    """Images of three classes in turn; the first two pixels tell an image's number."""
    images = np.zeros((count, 16, 16), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(count), 256)
    return ImageSet(images, np.arange(count) % 3, ("a", "b", "c"), "numbered", pool=count)


def numbers_of(data: ImageSet) -> list[int]:
    pixels = data.images[:, 0, :2].astype(int)
    return (pixels[:, 0] * 256 + pixels[:, 1]).tolist()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """300 training images and 30 test images."""
    save_images(tmp_path / "raw" / "train.npz", numbered(300))
    save_images(tmp_path / "raw" / "test.npz", numbered(30))
    return tmp_path / "raw"


def run(raw: Path, **changes: Any) -> tuple[dict[str, ImageSet], dict[str, Any]]:
    """Run the stage with a changed section; return what it wrote."""
    folder = raw.parent
    tree = YAML(typ="safe", pure=True).load(SHIPPED)
    tree["split"].update({"labelled": 30, **changes})
    YAML(typ="safe", pure=True).dump(tree, folder / "params.yaml")
    split(raw=raw, split=folder / "split", results=folder / "results", params=folder / "params.yaml")
    sets = {name: load_images(folder / "split" / f"{name}.npz") for name in PARTS}
    return sets, json.loads((folder / "results" / "metrics.json").read_text())


def test_every_training_image_is_in_just_one_part(raw: Path) -> None:
    sets, _ = run(raw)
    parts = [numbers_of(sets[name]) for name in PARTS[:3]]
    assert [len(part) for part in parts] == [30, 240, 30]
    assert sorted(chain.from_iterable(parts)) == list(range(300))


def test_labels_are_true_or_removed(raw: Path) -> None:
    sets, _ = run(raw)
    for name in ("labelled", "validation", "test"):
        assert sets[name].labels.tolist() == [number % 3 for number in numbers_of(sets[name])]
    assert set(sets["unlabelled"].labels) == {-1}


def test_test_images_are_untouched(raw: Path) -> None:
    sets, _ = run(raw)
    np.testing.assert_array_equal(sets["test"].images, load_images(raw / "test.npz").images)


def test_pool_counts_labelled_and_unlabelled(raw: Path) -> None:
    sets, _ = run(raw)
    assert {data.pool for data in sets.values()} == {270}


def test_metrics(raw: Path) -> None:
    sets, metrics = run(raw, labelled=31)
    assert metrics["dataset"] == "numbered"
    assert metrics["images"] == {"labelled": 31, "unlabelled": 239, "validation": 30, "test": 30}
    assert sorted(metrics["labelled_per_class"].values()) == [10, 10, 11]
    for name in PARTS[:3]:
        assert metrics["indices_sha256"][name] == digest_of_indices(np.array(numbers_of(sets[name])))


def test_same_seed_same_bytes(raw: Path) -> None:
    written = []
    for seed in (0, 0, 1):
        run(raw, seed=seed)
        written.append([(raw.parent / "split" / f"{name}.npz").read_bytes() for name in PARTS])
    assert written[0] == written[1]
    assert all(first != other for first, other in zip(written[0][:3], written[2][:3], strict=True))


def test_validation_does_not_depend_on_labelled(raw: Path) -> None:
    digests = [run(raw, labelled=labelled)[1]["indices_sha256"] for labelled in (30, 60)]
    assert digests[0]["validation"] == digests[1]["validation"]
    assert digests[0]["labelled"] != digests[1]["labelled"]


def test_refused_request_leaves_the_earlier_split_alone(raw: Path) -> None:
    run(raw)
    before = (raw.parent / "split" / "labelled.npz").read_bytes()
    with pytest.raises(SemisynthError, match=r"600 asks for 200 labelled images of class 'a', which has 90"):
        run(raw, labelled=600)
    assert (raw.parent / "split" / "labelled.npz").read_bytes() == before
    assert sorted(path.name for path in raw.parent.iterdir()) == ["params.yaml", "raw", "results", "split"]


def test_interrupted_run_leaves_the_earlier_split_alone(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(raw)
    (raw.parent / "split" / ".gitignore").write_text("/labelled.npz")
    before = (raw.parent / "split" / "labelled.npz").read_bytes()
    genuine, calls = np.savez_compressed, []

    def full_disk_at_the_third(stream: Any, **arrays: Any) -> None:
        calls.append(stream)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        genuine(stream, **arrays)

    monkeypatch.setattr(np, "savez_compressed", full_disk_at_the_third)
    with pytest.raises(OSError, match="No space left"):
        run(raw, labelled=60)
    assert (raw.parent / "split" / "labelled.npz").read_bytes() == before
    names = {".gitignore", *(f"{name}.npz" for name in PARTS)}
    assert {path.name for path in (raw.parent / "split").iterdir()} == names


def test_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(SemisynthError, match=r"train.npz: no such file; run the stage that writes it first"):
        run(tmp_path / "raw")
