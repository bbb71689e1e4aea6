import functools
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from semisynth.scoring.fitting import fit_detector_model
from semisynth.scoring.model import load_detector
from semisynth.synthesizers.composition import recipe_by_name
from semisynth.synthesizers.model import build_synthesizer
from semisynth.training.determinism import seed_everything

SIDE = 20


@pytest.fixture(scope="session", autouse=True)
def _small_batches_and_few_loads():
    """The network takes batches of 100 images, since these tests have few; a job loads each model once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("semisynth.scoring.model.BATCH_SIZE", 100)
        patch.setattr("semisynth.scoring.scorer.load_detector", functools.cache(load_detector))
        yield


@pytest.fixture(scope="session")
def rings():
    """Makes bright rings and discs on black, two classes in turn, uint8 (count, 20, 20)."""

    def make(seed, count, side=SIDE):
        random = np.random.default_rng(seed)
        grid = np.arange(side) - (side - 1) / 2
        distance = np.hypot(*np.meshgrid(grid, grid))
        radii = random.uniform(0.2, 0.3, (count, 1, 1)) * side
        is_ring = (np.arange(count) % 2 == 0)[:, None, None]
        images = np.where(is_ring, np.clip(3 - np.abs(distance - radii), 0, 1), np.clip(radii - distance, 0, 1))
        return (255 * images * random.uniform(0.8, 1, (count, 1, 1))).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def noise():
    """Makes noise, uint8 (count, 20, 20): anomalies."""
    return lambda seed, count: np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE), np.uint8)


@pytest.fixture(scope="session")
def fit(rings):
    """Fits and calibrates a detector with an untrained discriminator on rings and discs."""

    def make():
        seed_everything(0)
        synthesizer = build_synthesizer(recipe_by_name("acgan"), SIDE, 2)
        ids = [f"train#{row}" for row in range(400)]
        names = ("ring", "disc")
        return fit_detector_model(
            synthesizer, rings(0, 400), ids, rings(1, 300), names, generated=20, references=60, seed=0
        )

    return make


@pytest.fixture(scope="session")
def model(fit):
    """That detector."""
    return fit()


@pytest.fixture(scope="session")
def folder(model, tmp_path_factory):
    """The same detector on disk."""
    path = tmp_path_factory.mktemp("models") / "detector"
    model.save(path)
    return path


def png(image, format="PNG"):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format)
    return stream.getvalue()


@pytest.fixture(scope="session")
def encoded():
    """Encodes an image as PNG, or in another format of Pillow."""
    return png


@pytest.fixture(scope="session")
def write_parquet():
    """Writes images as Parquet: PNG bytes, or lists of pixels; ids as given, or none."""

    def write(path, images, ids=None, *, lists=False, group=100):
        if lists:
            pixels = pa.array(np.ascontiguousarray(images).reshape(-1))
            column = pa.FixedSizeListArray.from_arrays(pixels, images[0].size)
        else:
            column = pa.array([png(image) for image in images], pa.binary())
        columns = {"image": column} | ({} if ids is None else {"id": pa.array(ids)})
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path, row_group_size=group)
        return str(path)

    return write
