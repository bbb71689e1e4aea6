import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from semisynth.anomaly.planted import IMAGES_PER_KIND
from semisynth.data.idx import TEST_FILES, TRAIN_FILES, read_images, read_payload, write_idx
from semisynth.data.imageset import load_images
from semisynth.data.sources import SOURCES
from semisynth.errors import SemisynthError
from semisynth.stages.download import LEAST_TEST, download

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


def save_class_folders(folder: Path, darkest: int = 0) -> None:
    """Five images a class, no two of them equal."""
    for name, first in (("cat", darkest), ("dog", darkest + 5)):
        (folder / name).mkdir(parents=True)
        for level in range(5):
            Image.new("L", (16, 16), first + level).save(folder / name / f"{level}.png")


def test_own_data() -> None:
    save_class_folders(Path("animals"))
    metrics = run(dataset="own", path="animals", test_fraction=0.4)
    assert (metrics["dataset"], metrics["origin"]) == ("animals", "own")
    assert metrics["train"]["images_per_class"] == {"cat": 3, "dog": 3}
    assert metrics["test"]["images_per_class"] == {"cat": 2, "dog": 2}


def test_own_data_with_a_test_set_keeps_it() -> None:
    save_class_folders(Path("animals/train"))
    save_class_folders(Path("animals/test"), darkest=10)
    metrics = run(dataset="own", path="animals", test_fraction=0.4)
    assert (metrics["train"]["images"], metrics["test"]["images"]) == (10, 10)


def test_training_images_that_equal_test_images_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    save_class_folders(Path("animals/train"))
    save_class_folders(Path("animals/test"), darkest=2)  # 2 to 6 and 7 to 11: 0, 1 of the cats and no dog remain
    with pytest.raises(
        SemisynthError, match="every image of class 'dog' equals one of another class or of the test"
    ):
        run(dataset="own", path="animals")
    Image.new("L", (16, 16), 20).save(Path("animals/train/dog/new.png"))
    metrics = run(dataset="own", path="animals")
    assert metrics["train"]["images_per_class"] == {"cat": 2, "dog": 1}
    assert metrics["test"]["images"] == 10
    train, test = (load_images(Path("raw", f"{name}.npz")).images for name in ("train", "test"))
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}
    assert (
        "warning: animals/train: 8 of 11 training images equal another one or a test image"
        in capsys.readouterr().err
    )


def test_copies_do_not_lie_on_both_sides_of_a_split(capsys: pytest.CaptureFixture[str]) -> None:
    save_class_folders(Path("animals"))
    run(dataset="own", path="animals", test_fraction=0.4)
    assert "warning" not in capsys.readouterr().err
    before = Path("raw/train.npz").read_bytes(), Path("raw/test.npz").read_bytes()
    shutil.copytree(Path("animals/cat"), Path("animals/unlabelled"))  # with a label they count
    Image.new("L", (16, 16), 7).save(Path("animals/dog/copy.png"))
    metrics = run(dataset="own", path="animals", test_fraction=0.4)
    assert "warning: animals: 6 of 16 training images equal another one" in capsys.readouterr().err
    assert metrics["train"]["images"] == 6
    assert before == (Path("raw/train.npz").read_bytes(), Path("raw/test.npz").read_bytes())


def test_a_test_set_too_small_for_the_last_stages_is_refused_by_the_first() -> None:
    save_class_folders(Path("animals"))
    with pytest.raises(SemisynthError, match="animals: expected at least 4 test images, received 2"):
        run(dataset="own", path="animals", test_fraction=0.2)
    assert LEAST_TEST == IMAGES_PER_KIND


@pytest.mark.parametrize(("level", "warned"), [(30, False), (240, True)])
def test_a_bright_background_is_warned_of(level: int, warned: bool, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cat", "dog"):
        Path("animals", name).mkdir(parents=True)
        for shade in range(8):  # both classes have two test images
            image = Image.new("L", (16, 16), level + shade)
            image.putpixel((7, 7), ord(name[0]))
            image.save(Path("animals", name, f"{shade}.png"))
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
    run(dataset="own", path="animals", test_fraction=0.4)
    before = Path("raw/train.npz").read_bytes()
    Path("animals/dog/9.png").write_bytes(b"broken")
    with pytest.raises(SemisynthError, match=r"dog/9.png: unreadable"):
        run(dataset="own", path="animals", test_fraction=0.4)
    assert Path("raw/train.npz").read_bytes() == before
    assert sorted(path.name for path in Path("raw").iterdir()) == ["test.npz", "train.npz"]
