import hashlib
from pathlib import Path

import numpy as np
import pytest

from semisynth.data.idx import TEST_FILES, TRAIN_FILES, read_payload, write_idx
from semisynth.data.sources import Source


def write_data_set(folder: Path, seed: int = 0) -> None:
    """Four packed IDX files: 12 training and 6 test images of 16 x 16, three classes."""
    generator = np.random.default_rng(seed)
    for (images, labels), count in ((TRAIN_FILES, 12), (TEST_FILES, 6)):
        write_idx(folder / f"{images}.gz", generator.integers(0, 256, (count, 16, 16)))
        write_idx(folder / f"{labels}.gz", np.arange(count) % 3)


@pytest.fixture
def tiny_mirror(tmp_path: Path) -> Path:
    """A mirror with one data set, `tiny`."""
    write_data_set(tmp_path / "mirror" / "tiny")
    return tmp_path / "mirror"


@pytest.fixture
def tiny_source(tiny_mirror: Path) -> Source:
    """The data set of `tiny_mirror`, without public mirrors."""
    digests = {
        file: hashlib.sha256(read_payload(tiny_mirror / "tiny" / f"{file}.gz")).hexdigest()
        for file in (*TRAIN_FILES, *TEST_FILES)
    }
    return Source("tiny", ("a", "b", "c"), digests, "payload-sha256", public=())
