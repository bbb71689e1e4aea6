import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from semisynth.data.idx import TEST_FILES, TRAIN_FILES
from semisynth.data.sources import SOURCES, Source
from semisynth.errors import SemisynthError

IMAGES = TRAIN_FILES[0]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_table_is_complete(source: Source) -> None:
    assert set(source.digests) == {*TRAIN_FILES, *TEST_FILES}
    length = 64 if source.digest == "payload-sha256" else 32
    assert {len(digest) for digest in source.digests.values()} == {length}
    assert len(set(source.digests.values())) == 4
    assert len(set(source.class_names)) == 10
    assert source.public


def test_payload_digest_holds_however_the_file_is_packed(tiny_mirror: Path, tiny_source: Source) -> None:
    path = tiny_mirror / "tiny" / f"{IMAGES}.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1, mtime=1))
    tiny_source.check(IMAGES, path)


def test_payload_of_another_file_is_refused(tiny_mirror: Path, tiny_source: Source) -> None:
    path = tiny_mirror / "tiny" / f"{TEST_FILES[0]}.gz"
    with pytest.raises(SemisynthError, match="digest mismatch: SHA-256 of the unpacked payload must be"):
        tiny_source.check(IMAGES, path)


def test_digest_of_the_packed_file(tiny_mirror: Path, tiny_source: Source) -> None:
    path = tiny_mirror / "tiny" / f"{IMAGES}.gz"
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    source = replace(tiny_source, digest="file-md5", digests={IMAGES: digest})
    source.check(IMAGES, path)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), mtime=1))
    with pytest.raises(SemisynthError, match="MD5 of the file as its publisher packed it must be"):
        source.check(IMAGES, path)
