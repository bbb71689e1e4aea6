from dataclasses import replace
from pathlib import Path

import pytest

from semisynth.data.mirrors import Mirror, mirrors_of
from semisynth.data.sources import Source
from semisynth.errors import SemisynthError


@pytest.fixture
def source(tiny_source: Source) -> Source:
    return replace(tiny_source, public=("https://public.example/tiny",))


def test_configured_mirror_comes_first(source: Source) -> None:
    mirrors = mirrors_of(source, "http://near.example:8000/data/")
    assert [mirror.kind for mirror in mirrors] == ["mirror", "public"]
    assert mirrors[0].place_of("a.gz") == "http://near.example:8000/data/tiny/a.gz"
    assert mirrors[1].place_of("a.gz") == "https://public.example/tiny/a.gz"


@pytest.mark.parametrize("configured", [None, ""])
def test_without_a_configured_mirror_the_public_ones_are_left(source: Source, configured: str | None) -> None:
    assert [mirror.kind for mirror in mirrors_of(source, configured)] == ["public"]


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        ("/some/folder", "/some/folder/tiny/a.gz"),
        ("folder", "folder/tiny/a.gz"),
        ("file:///some/my%20folder", "/some/my folder/tiny/a.gz"),
        ("file://localhost/some", "/some/tiny/a.gz"),
    ],
)
def test_folders(source: Source, configured: str, expected: str) -> None:
    assert mirrors_of(source, configured)[0].place_of("a.gz") == Path(expected)


@pytest.mark.parametrize(
    "configured", ["ftp://host/data", "http:///data", "file://elsewhere/data", "http://host:port/", "http://[1/"]
)
def test_other_urls_are_refused(source: Source, configured: str) -> None:
    with pytest.raises(SemisynthError, match="expected "):
        mirrors_of(source, configured)


def test_password_of_a_url_is_not_shown() -> None:
    assert str(Mirror("mirror", "https://me:secret@near.example/data")) == "near.example"
