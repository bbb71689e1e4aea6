"""A model on disk: files, and a manifest with kind, settings and digests. Loading runs no code from it.

A bundle holds weights and validated settings; the network itself is rebuilt from the code.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from semisynth.data.imageset import read_archive
from semisynth.errors import SemisynthError
from semisynth.files import read_json, replacing_file, replacing_folder, sha256_of, write_json

FORMAT = 1
MANIFEST = "bundle.json"
LEAST_SIDE, MOST_SIDE, MOST_CLASSES = 4, 256, 2**16
SETTINGS = "settings"  # stands for the manifest's own settings among the digests


@dataclass(frozen=True)
class Bundle:
    """A checked bundle: its kind, the settings it was saved with, its folder, and the files that were checked."""

    kind: str
    settings: dict[str, Any]
    folder: Path
    files: frozenset[str]

    def file(self, name: str) -> Path:
        """The path of a checked file; SemisynthError where the manifest does not vouch for it."""
        if name not in self.files:
            raise SemisynthError(f"{self.folder / MANIFEST}: file `{name}` expected, found {sorted(self.files)}")
        return self.folder / name


def save_bundle(folder: Path, kind: str, settings: Mapping[str, Any], write: Callable[[Path], None]) -> None:
    """Save a bundle under `folder`, whole or not at all.

    `write(path)` puts its files into the folder that it is given.
    """
    with replacing_folder(folder) as temporary:
        write(temporary)
        digests = {path.name: sha256_of(path) for path in sorted(temporary.iterdir())}
        digests[SETTINGS] = _settings_digest(settings)
        manifest = {"format": FORMAT, "kind": kind, "settings": dict(settings), "sha256": digests}
        write_json(temporary / MANIFEST, manifest)


def load_bundle(folder: Path, kind: str | None = None) -> Bundle:
    """Read and check the bundle in `folder`.

    Raises SemisynthError if it is missing, of another format or kind, or a file differs from its SHA-256.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise SemisynthError(f"{path}: no such file; run the stage that writes it first (`dvc repro`)")
    try:
        manifest = read_json(path)
        version, found, digests = manifest["format"], manifest["kind"], dict(manifest["sha256"])
        settings = dict(manifest["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise SemisynthError(f"{path}: not a bundle's manifest ({error!r})") from error
    if version != FORMAT:
        raise SemisynthError(f"{path}: bundle format {FORMAT} expected, received {version!r}")
    if kind is not None and found != kind:
        raise SemisynthError(f"{path}: a bundle of kind `{kind}` expected, received `{found}`")
    if digests.pop(SETTINGS, None) != _settings_digest(settings):
        raise SemisynthError(f"{path}: damaged, the settings differ from their SHA-256")
    _check_files(folder, digests)
    return Bundle(found, settings, folder, frozenset(digests))


def _settings_digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()


def _check_files(folder: Path, digests: dict[str, str]) -> None:
    for name, digest in digests.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise SemisynthError(f"{path}: named in {MANIFEST}, but no such file in the bundle")
        received = sha256_of(path)
        if received != digest:
            raise SemisynthError(f"{path}: damaged, SHA-256 {digest} expected, received {received}")


def setting(bundle: Bundle, name: str, *kinds: type) -> Any:
    """The setting `name` of a bundle; SemisynthError where it is missing or of none of the `kinds`."""
    value = bundle.settings.get(name)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise SemisynthError(
            f"{bundle.folder / MANIFEST}: setting `{name}` must be {expected}, received {value!r}"
        )
    return value


def bounded(bundle: Bundle, name: str, least: int, most: int) -> int:
    """The setting `name` of a bundle, a size that memory is taken by; SemisynthError outside `least` to `most`."""
    value: int = setting(bundle, name, int)
    if not least <= value <= most:
        raise SemisynthError(
            f"{bundle.folder / MANIFEST}: setting `{name}` must lie in {least} to {most}, received {value}"
        )
    return value


def side_and_classes(bundle: Bundle) -> tuple[int, int]:
    """The settings `side` and `classes`; SemisynthError where no image set could have them."""
    return bounded(bundle, "side", LEAST_SIDE, MOST_SIDE), bounded(bundle, "classes", 1, MOST_CLASSES)


def save_weights(path: Path, model: keras.Model) -> None:
    """Save the model's weights in order, as an `.npz` whose bytes depend on them alone."""
    with replacing_file(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **{f"w{index}": weight for index, weight in enumerate(model.get_weights())})


def load_weights(path: Path, model: keras.Model) -> None:
    """Set a built model's weights from `path`; SemisynthError where number or shapes differ."""
    arrays = read_archive(path)
    weights = [arrays.get(f"w{index}") for index in range(len(arrays))]
    received = [None if weight is None else weight.shape for weight in weights]
    expected = [tuple(weight.shape) for weight in model.weights]
    if received != expected:
        raise SemisynthError(
            f"{path}: weights of shapes {expected} expected, received {received}; "
            "was it made by another version of semisynth?"
        )
    if not all(weight.dtype.kind == "f" and np.isfinite(weight).all() for weight in arrays.values()):
        raise SemisynthError(f"{path}: finite weights expected, received NaN, infinity or other than numbers")
    model.set_weights(weights)
