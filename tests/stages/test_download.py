import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from semisynth.data.idx import TEST_FILES, TRAIN_FILES, read_images, read_payload, write_idx
from semisynth.data.imageset import load_images
from semisynth.data.sources import SOURCES
from semisynth.errors import SemisynthError
from semisynth.stages.download import download

SHIPPED = Path(__file__).parents[2] / "params.yaml"
FIRST = f"{TRAIN_FILES[0]}.gz"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEMISYNTH_MIRROR", raising=False)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with tiny files in place of MNIST's, whose digests count as MNIST's; there is no public mirror."""
    folder, generator = Path("mirror/mnist"), np.random.default_rng(0)
    for (images, labels), count in ((TRAIN_FILES, 20), (TEST_FILES, 10)):
        write_idx(folder / f"{images}.gz", generator.integers(0, 256, (count, 16, 16)))
        write_idx(folder / f"{labels}.gz", np.arange(count) % 10)
    digests = {path.stem: hashlib.sha256(read_payload(path)).hexdigest() for path in folder.iterdir()}
    monkeypatch.setitem(SOURCES, "mnist", replace(SOURCES["mnist"], digests=digests, public=()))
    monkeypatch.setenv("SEMISYNTH_MIRROR", str(folder.parent))
    return folder


@pytest.fixture
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "mnist", replace(SOURCES["mnist"], public=()))


def run(**changes: Any) -> dict[str, Any]:
    """Run the stage with a changed section, and return its metrics."""
    tree = YAML(typ="safe", pure=True).load(SHIPPED)
    tree["download"].update(changes)
    YAML(typ="safe", pure=True).dump(tree, Path("params.yaml"))
    download(raw=Path("raw"), results=Path("results"), params=Path("params.yaml"))
    metrics: dict[str, Any] = json.loads(Path("results/metrics.json").read_text())
    return metrics


def test_mirror_that_the_environment_names(mirror: Path) -> None:
    metrics = run()
    train, test = load_images(Path("raw/train.npz")), load_images(Path("raw/test.npz"))
    images = read_images(mirror / FIRST)
    np.testing.assert_array_equal(train.images, images)
    assert (len(train), len(test), train.pool, test.pool) == (20, 10, 20, 20)
    assert (metrics["dataset"], metrics["origin"], metrics["side"]) == ("mnist", "mirror", 16)
    assert metrics["train"]["images"] == 20
    assert metrics["train"]["images_sha256"] == hashlib.sha256(images.tobytes()).hexdigest()
    assert metrics["test"]["images_per_class"] == {str(digit): 1 for digit in range(10)}


def test_mirror_by_file_url(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMISYNTH_MIRROR", mirror.parent.resolve().as_uri())
    assert run()["dataset"] == "mnist"


def test_metrics_name_no_place_of_this_machine(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMISYNTH_MIRROR", str(mirror.parent.resolve()))
    run()
    assert str(tmp_path) not in Path("results/metrics.json").read_text()


def test_two_runs_give_equal_bytes(mirror: Path) -> None:
    files = [Path("raw/train.npz"), Path("raw/test.npz"), Path("results/metrics.json")]
    run()
    first = [path.read_bytes() for path in files]
    run()
    assert [path.read_bytes() for path in files] == first


@pytest.mark.usefixtures("no_mirror")
def test_bundled_digits_after_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = run()
    assert (metrics["dataset"], metrics["origin"]) == ("digits", "bundled")
    assert load_images(Path("raw/train.npz")).dataset == "digits"
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "WARNING: mnist is not here" in shown
    assert "no mirror gave it (there is none)" in shown
    assert "set SEMISYNTH_MIRROR to a URL or a folder that holds mnist/train-images-idx3-ubyte.gz" in shown
    assert "`dvc repro --force download`" in shown


def test_warning_says_what_failed(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mirror / FIRST).write_bytes((mirror / f"{TEST_FILES[0]}.gz").read_bytes())
    assert run()["dataset"] == "digits"
    assert "digest mismatch: SHA-256" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.usefixtures("no_mirror")
def test_no_mirror_and_no_fallback(tmp_path: Path) -> None:
    with pytest.raises(SemisynthError, match=r"^mnist: no mirror gave it .* set SEMISYNTH_MIRROR to") as failure:
        run(fallback=None)
    assert "\n" not in str(failure.value)
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_wrong_mirror_is_an_error_and_not_a_reason_to_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMISYNTH_MIRROR", "ftp://host/data")
    with pytest.raises(SemisynthError, match="SEMISYNTH_MIRROR: expected an http, https or file URL, or a folder"):
        run()


def test_digits_get_a_stratified_test_set() -> None:
    metrics = run(dataset="digits", test_fraction=0.2)
    assert metrics["origin"] == "bundled"
    assert metrics["train"]["images"] + metrics["test"]["images"] == 1797
    assert set(metrics["test"]["images_per_class"].values()) <= {35, 36, 37}
    assert load_images(Path("raw/test.npz")).pool == metrics["train"]["images"]


def test_test_set_of_the_digits_depends_on_the_seed() -> None:
    digests = [run(dataset="digits", seed=seed)["test"]["images_sha256"] for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def save_class_folders(folder: Path) -> None:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for level in range(5):
            Image.new("L", (16, 16), level).save(folder / name / f"{level}.png")


def test_own_data() -> None:
    save_class_folders(Path("animals"))
    metrics = run(dataset="own", path="animals", test_fraction=0.4)
    assert (metrics["dataset"], metrics["origin"]) == ("animals", "own")
    assert metrics["train"]["images_per_class"] == {"cat": 3, "dog": 3}
    assert metrics["test"]["images_per_class"] == {"cat": 2, "dog": 2}


def test_own_data_with_a_test_set_keeps_it() -> None:
    save_class_folders(Path("animals/train"))
    save_class_folders(Path("animals/test"))
    metrics = run(dataset="own", path="animals", test_fraction=0.4)
    assert (metrics["train"]["images"], metrics["test"]["images"]) == (10, 10)


@pytest.mark.parametrize(("level", "warned"), [(30, False), (240, True)])
def test_a_bright_background_is_warned_of(level: int, warned: bool, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cat", "dog"):
        Path("animals", name).mkdir(parents=True)
        for shade in range(2):
            Image.new("L", (16, 16), level + shade).save(Path("animals", name, f"{shade}.png"))
    run(dataset="own", path="animals")
    assert ("warning: animals: the borders of most images are bright" in capsys.readouterr().err) == warned


def test_own_data_names_what_has_too_few_images() -> None:
    save_class_folders(Path("animals"))
    for path in sorted(Path("animals/dog").iterdir())[1:]:
        path.rename(path.parents[1] / "cat" / f"dog{path.name}")
    with pytest.raises(SemisynthError, match="animals: class 'dog': expected at least 2 labelled images"):
        run(dataset="own", path="animals")


def test_own_data_needs_a_path() -> None:
    with pytest.raises(SemisynthError, match=r"`download.path` is null, expected the path of your own data"):
        run(dataset="own")


def test_failed_run_leaves_the_earlier_data_alone() -> None:
    save_class_folders(Path("animals"))
    run(dataset="own", path="animals")
    before = Path("raw/train.npz").read_bytes()
    Path("animals/dog/9.png").write_bytes(b"broken")
    with pytest.raises(SemisynthError, match=r"dog/9.png: unreadable"):
        run(dataset="own", path="animals")
    assert Path("raw/train.npz").read_bytes() == before
    assert sorted(path.name for path in Path("raw").iterdir()) == ["test.npz", "train.npz"]
